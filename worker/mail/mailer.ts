/** Sends the mails of all tenants of a worker. */
import { convert } from "html-to-text";
import { SystemError, UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { type Log, createLog } from "../log.ts";
import { PlatformAllowance } from "./allowance.ts";
import {
  type MailAddress,
  type MailContent,
  type MailMessage,
  type MailTransport,
  MailFailure,
  type PlatformSender,
  type SmtpServer,
  type TenantSender,
} from "./contract.ts";
import { Network } from "../outbound/network.ts";
import { RetryQueue } from "./queue.ts";
import { smtpTransport } from "./smtp.ts";

export interface Mail {
  tenantId: string;
  sender: TenantSender;
  to: MailAddress;
  content: MailContent;
}

export interface MailerOptions {
  /** For tenants that have no server of their own. */
  platform?: PlatformSender;
  transport?: MailTransport;
  /** Where mail servers may be; the public internet when absent. */
  network?: Network;
  log?: Log;
  nowMs?: () => number;
  retryMsMin?: number;
}

interface Outgoing {
  transport: MailTransport;
  server: SmtpServer;
  message: MailMessage;
}

export class Mailer {
  readonly #platform: PlatformSender | undefined;
  readonly #transport: MailTransport;
  readonly #platformTransport: MailTransport;
  readonly #queue: RetryQueue;
  readonly #allowance = new PlatformAllowance();
  readonly #log: Log;
  readonly #nowMs: () => number;

  constructor(options: MailerOptions = {}) {
    const { platform, network = new Network(), log = createLog("mail"), nowMs = Date.now } = options;
    this.#transport = options.transport ?? smtpTransport(network);
    // The platform's own server may be on the platform's own network; a tenant's may not.
    this.#platformTransport = options.transport ?? smtpTransport(new Network({ allowPrivate: true }));
    this.#platform = platform;
    this.#log = log;
    this.#nowMs = nowMs;
    this.#queue = new RetryQueue(options.retryMsMin === undefined ? {} : { retryMsMin: options.retryMsMin });
  }

  /** Mails that are neither sent nor given up. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Whether anybody can send for this tenant. @throws UserError `mail_not_configured` */
  requireSender({ server }: TenantSender): void {
    if (server === undefined && this.#platform === undefined) throw notConfigured();
  }

  /**
   * Queues a mail and returns. It is sent after `ready` has resolved (the commit that it speaks of is durable), and again with
   * growing pauses while its server fails; what is given up is logged.
   * @throws UserError `mail_not_configured` or `rate_limited`; SystemError `overloaded`
   */
  post(mail: Mail, ready: (signal: AbortSignal) => Promise<void> | void): void {
    const { transport, server, message } = this.#compose(mail);
    const place = { tenant: mail.tenantId, host: server.host };
    this.#queue.push(mail.tenantId, {
      run: async (attempt) => {
        try {
          await ready(AbortSignal.timeout(limits.mailSendMs));
          await transport.send(server, message);
          return "done";
        } catch (error) {
          const isPermanent = error instanceof MailFailure && error.isPermanent;
          this.#log.warn({ ...place, attempt, isPermanent, err: error }, "could not send a mail");
          return isPermanent ? "done" : "again";
        }
      },
      gaveUp: () => this.#log.error(place, "gave up a mail that could not be sent"),
    });
  }

  /** Sends at once and once, for those who want to see what their server says. @throws as `post`, and MailFailure */
  async deliver(mail: Mail): Promise<void> {
    const { transport, server, message } = this.#compose(mail);
    await transport.send(server, message);
  }

  /** Sends what it can within `limits.mailDrainMs`, and gives up the rest. */
  close(): Promise<void> {
    return this.#queue.close(limits.mailDrainMs);
  }

  #compose({ tenantId, sender, to, content }: Mail): Outgoing {
    const text = convert(content.html.slice(0, limits.mailTextCharactersMax), {
      wordwrap: false,
      limits: { maxDepth: limits.mailTextDepthMax },
    });
    const body = { to, subject: content.subject, html: content.html, text };
    const { server, from } = sender;
    if (server !== undefined) return { transport: this.#transport, server, message: { from, ...body } };
    if (this.#platform === undefined) throw notConfigured();
    if (!this.#allowance.take(tenantId, this.#nowMs())) {
      throw new UserError("rate_limited", "Cannot send mail: the platform's mails of this hour are used up", {
        hint: "Set up a mail server of your own in the settings.",
      });
    }
    const platform = { name: from.name, address: this.#platform.address };
    return {
      transport: this.#platformTransport,
      server: this.#platform.server,
      message: { from: platform, replyTo: from, ...body },
    };
  }
}

function notConfigured(): UserError {
  return new UserError("mail_not_configured", "Cannot send mail: no mail server is set up", {
    hint: "Set up one in the settings, under smtp.",
  });
}

/** Whether a mail could not even be queued, for reasons that the settings or the load explain. */
export function isMailRefusal(error: unknown): error is UserError | SystemError | MailFailure {
  return error instanceof UserError || error instanceof SystemError || error instanceof MailFailure;
}
