import { isIP } from "node:net";
import { createTransport } from "nodemailer";
import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { type MailMessage, type MailTransport, MailFailure, type SmtpServer } from "./contract.ts";
import type { Network } from "../outbound/network.ts";

/** Sends over SMTP, a connection for each message; every wait is bounded and `limits.mailSendMs` bounds the whole. */
export function smtpTransport(network: Network): MailTransport {
  return {
    async send(server, message) {
      const { promise: late, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(
        () => reject(new MailFailure(`Cannot send mail: ${server.host} did not finish in time`, false)),
        limits.mailSendMs,
      );
      const connection: { close?: () => void } = {};
      try {
        await Promise.race([attempt(network, server, message, connection), late]);
      } catch (error) {
        if (error instanceof MailFailure) throw error;
        throw error instanceof UserError
          ? new MailFailure(error.message, true, error)
          : failureOf(server.host, error);
      } finally {
        clearTimeout(timer);
        connection.close?.();
      }
    },
  };
}

async function attempt(
  network: Network,
  server: SmtpServer,
  message: MailMessage,
  connection: { close?: () => void },
): Promise<void> {
  const { host, port, tls, username, password, authMethod, localName } = server;
  const transport = createTransport({
    host: await network.resolve(host),
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
