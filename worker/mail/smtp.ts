import { createTransport } from "nodemailer";
import { limits } from "../../shared/limits.ts";
import { type MailMessage, type MailTransport, MailFailure, type SmtpServer } from "./contract.ts";

/** Sends over SMTP, a connection for each message; every wait is bounded and `limits.mailSendMs` bounds the whole. */
export const smtpTransport: MailTransport = {
  async send(server: SmtpServer, message: MailMessage): Promise<void> {
    const { host, port, tls, username, password, authMethod, localName } = server;
    const transport = createTransport({
      host,
      port,
      secure: tls,
      authMethod,
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
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(new MailFailure(`Cannot send mail: ${host} did not finish in time`, false)),
      limits.mailSendMs,
    );
    try {
      await Promise.race([transport.sendMail(message), late]);
    } catch (error) {
      throw error instanceof MailFailure ? error : failureOf(host, error);
    } finally {
      clearTimeout(timer);
      transport.close();
    }
  },
};

/** SMTP's own rule: 4xx may pass, 5xx will not. A refused login is one of the latter. */
function failureOf(host: string, error: unknown): MailFailure {
  const { responseCode, message } = error as { responseCode?: unknown; message?: unknown };
  const isPermanent = typeof responseCode === "number" && responseCode >= 500;
  return new MailFailure(`Cannot send mail by ${host}: ${String(message)}`, isPermanent, error);
}
