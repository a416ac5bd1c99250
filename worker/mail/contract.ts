/** Mail as the worker sends it: what a message is, through whom it goes, and the port to the outside. */

export interface MailAddress {
  name: string;
  address: string;
}

export interface MailContent {
  subject: string;
  html: string;
}

export interface MailMessage extends MailContent {
  from: MailAddress;
  to: MailAddress;
  replyTo?: MailAddress;
  /** The same content for those who read no HTML. */
  text: string;
}

export interface SmtpServer {
  host: string;
  port: number;
  /** Empty: no login. */
  username: string;
  password: string;
  authMethod: "PLAIN" | "LOGIN";
  /** TLS from the first byte; otherwise STARTTLS when the server offers it. */
  tls: boolean;
  /** What is said in EHLO; empty: the host's own name. */
  localName: string;
}

/** Who sends for a tenant by its own settings. */
export interface TenantSender {
  /** Undefined when the tenant has not set up a server. */
  server: SmtpServer | undefined;
  from: MailAddress;
}

/** The platform's own server, for tenants without one; it sends under its own address. */
export interface PlatformSender {
  server: SmtpServer;
  address: string;
}

/** The port: one attempt to hand a message to a server. */
export interface MailTransport {
  /** @throws MailFailure */
  send(server: SmtpServer, message: MailMessage): Promise<void>;
}

/** A server did not take a message; its words are for the owner of the settings and for the log. */
export class MailFailure extends Error {
  override readonly name = "MailFailure";
  /** Trying again cannot help: the server has refused for good. */
  readonly isPermanent: boolean;

  constructor(message: string, isPermanent: boolean, cause?: unknown) {
    super(message, { cause });
    this.isPermanent = isPermanent;
  }
}
