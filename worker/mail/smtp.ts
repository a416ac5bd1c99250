import { isIP } from "node:net";
import { createTransport } from "nodemailer";
import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { type MailMessage, type MailTransport, MailFailure, type SmtpServer } from "./contract.ts";
import type { Network } from "../outbound/network.ts";

/** Sends over SMTP, a connection for each message; every wait is bounded and `limits.mailSendMs` bounds the whole. */
export function smtpTransport(network: Network, sendMs: number = limits.mailSendMs): MailTransport {
  return {
    async send(server, message) {
      const { promise: late, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(
        () => reject(new MailFailure(`Cannot send mail: ${server.host} did not finish in time`, false)),
        sendMs,
      );
      const connection: Connection = { isOver: false };
      try {
        await Promise.race([attempt(network, server, message, connection), late]);
      } catch (error) {
        if (error instanceof MailFailure) throw error;
        throw error instanceof UserError
          ? new MailFailure(error.message, true, error)
          : failureOf(server.host, error);
      } finally {
        clearTimeout(timer);
        connection.isOver = true;
        connection.close?.();
      }
    },
  };
}

interface Connection {
  close?: () => void;
  /** Nobody waits for it any more. */
  isOver: boolean;
}

async function attempt(
  network: Network,
  server: SmtpServer,
  message: MailMessage,
  connection: Connection,
): Promise<void> {
  const { host, port, tls, username, password, authMethod, localName } = server;
  const address = await network.resolve(host);
  // Sent later, it would be sent twice.
  if (connection.isOver) return;
  const transport = createTransport({
    host: address,
    port,
    secure: tls,
    authMethod,
    ...(isIP(host) === 0 ? { tls: { servername: host } } : {}),
    ...(username === "" && password === "" ? {} : { auth: { user: username, pass: password } }),
    ...(localName === "" ? {} : { name: localName }),
    dnsTimeout: limits.mailConnectMs,
    connectionTimeout: limits.mailConnectMs,
    greetingTimeout: limits.mailConnectMs,
    socketTimeout: limits.mailSendMs,
    // A message names no files and no URLs to be read by this process.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  connection.close = () => transport.close();
  await transport.sendMail(message);
}

/** SMTP's own rule: 4xx may pass, 5xx will not. A refused login is one of the latter. */
function failureOf(host: string, error: unknown): MailFailure {
  const { responseCode, message } = error as { responseCode?: unknown; message?: unknown };
  const isPermanent = typeof responseCode === "number" && responseCode >= 500;
  return new MailFailure(`Cannot send mail by ${host}: ${String(message)}`, isPermanent, error);
}
