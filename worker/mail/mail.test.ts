import { afterEach, describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { MailTransport, SmtpServer } from "./contract.ts";
import { MailFailure } from "./contract.ts";
import { Network } from "../outbound/network.ts";
import { type Mail, Mailer } from "./mailer.ts";
import { parsePlatformSender } from "./sender.ts";
import { fillPlaceholders, fillTemplate } from "./template.ts";
import { smtpTransport } from "./smtp.ts";
import { startTestSmtp } from "./testing.ts";

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const serverAt = (port: number, values: Partial<SmtpServer> = {}): SmtpServer => ({
  host: "127.0.0.1",
  port,
  username: "",
  password: "",
  authMethod: "PLAIN",
  tls: false,
  localName: "",
  ...values,
});

function mailFrom(server: SmtpServer | undefined, tenantId = "t1"): Mail {
  return {
    tenantId,
    sender: { server, from: { name: "Acme Support", address: "support@acme.test" } },
    to: { name: "", address: "ann@example.com" },
    content: {
      subject: "Grüße\r\nBcc: evil@example.com",
      html: '<p>Hi</p><a href="https://x.test/1">Go</a>',
    },
  };
}

const network = new Network({ allowPrivate: true });
const now = (): void => undefined;

describe("over a real SMTP server", () => {
  for (const authMethod of ["PLAIN", "LOGIN"] as const) {
    test(`a mail arrives whole, logged in by ${authMethod}`, async () => {
      const smtp = await startTestSmtp({ username: "me", password: "s3cret" });
      const mailer = new Mailer({ network });
      closing.push(() => mailer.close(), smtp.close);
      mailer.post(mailFrom(serverAt(smtp.port, { username: "me", password: "s3cret", authMethod })), now);
      const got = await smtp.nth(1);
      expect(got).toMatchObject({ from: "support@acme.test", to: ["ann@example.com"], login: "me" });
      expect(got.raw).toContain("From: Acme Support <support@acme.test>");
      expect(got.raw).not.toMatch(/^Bcc:/m);
      expect(got.raw).toContain('<a href="https://x.test/1">Go</a>');
      expect(got.raw).toContain("Go [https://x.test/1]");
    });
  }

  test("an attempt that was given up sends nothing later: the next one may have", async () => {
    const smtp = await startTestSmtp();
    closing.push(smtp.close);
    const { promise: found, resolve } = Promise.withResolvers<string>();
    const slow = Object.assign(new Network({ allowPrivate: true }), { resolve: () => found });
    const message = { ...mailFrom(undefined).content, text: "", to: mailFrom(undefined).to };
    const sending = smtpTransport(slow, 5).send(serverAt(smtp.port), {
      ...message,
      from: mailFrom(undefined).sender.from,
    });
    await expect(sending).rejects.toThrow("did not finish in time");
    resolve("127.0.0.1");
    const mailer = new Mailer({ network });
    closing.push(() => mailer.close());
    mailer.post(mailFrom(serverAt(smtp.port)), now);
    await smtp.nth(1);
    expect(smtp.connections()).toBe(1);
  });

  test("deliver tells what the server said", async () => {
    const smtp = await startTestSmtp({ username: "me", password: "s3cret" });
    closing.push(smtp.close);
    const wrong = serverAt(smtp.port, { username: "me", password: "no" });
    const failure = await new Mailer({ network }).deliver(mailFrom(wrong)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(MailFailure);
    expect(String(failure)).toContain("Invalid login");
    expect((failure as MailFailure).isPermanent).toBe(true);
  });

  test("a server of the platform's own network is not reached", async () => {
    const smtp = await startTestSmtp();
    closing.push(smtp.close);
    const failure = await new Mailer()
      .deliver(mailFrom(serverAt(smtp.port)))
      .catch((error: unknown) => error);
    expect(String(failure)).toContain("not on the public internet");
    expect(smtp.connections()).toBe(0);
  });

  test("a 4xx is tried again, a 5xx is not", async () => {
    const smtp = await startTestSmtp();
    const mailer = new Mailer({ network, retryMsMin: 5 });
    closing.push(() => mailer.close(), smtp.close);
    smtp.refusals.push({ code: 451, text: "later" });
    mailer.post(mailFrom(serverAt(smtp.port)), now);
    await smtp.nth(1);
    expect(smtp.connections()).toBe(2);
    smtp.refusals.push({ code: 550, text: "no such user" });
    mailer.post(mailFrom(serverAt(smtp.port)), now);
    await until(() => mailer.waiting === 0);
    expect([smtp.connections(), smtp.received.length]).toEqual([3, 1]);
  });

  test("a server that accepts and says nothing holds up nobody but its own tenant", async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => void silent.listen(0, "127.0.0.1", resolve));
    const smtp = await startTestSmtp();
    const mailer = new Mailer({ network });
    closing.push(smtp.close, () => void silent.close());
    const { port } = silent.address() as AddressInfo;
    for (let index = 0; index < limits.mailParallel * 2; index++)
      mailer.post(mailFrom(serverAt(port), "dead"), now);
    mailer.post(mailFrom(serverAt(smtp.port), "alive"), now);
    await smtp.nth(1);
    expect(mailer.waiting).toBeGreaterThanOrEqual(limits.mailParallel * 2);
  });
});

describe("the queue", () => {
  test("a mail waits until what it speaks of is durable", async () => {
    const sent: string[] = [];
    const mailer = new Mailer({ transport: recording(sent) });
    const { promise, resolve } = Promise.withResolvers<void>();
    mailer.post(mailFrom(serverAt(1)), () => promise);
    await Bun.sleep(5);
    expect(sent).toEqual([]);
    resolve();
    await until(() => mailer.waiting === 0);
    expect(sent).toHaveLength(1);
  });

  test("what never became durable is never sent", async () => {
    const sent: string[] = [];
    const mailer = new Mailer({ transport: recording(sent), retryMsMin: 0 });
    mailer.post(mailFrom(serverAt(1)), () => {
      throw new Error("the tenant is lost");
    });
    await until(() => mailer.waiting === 0);
    expect(sent).toEqual([]);
  });

  test("attempts are bounded", async () => {
    let attempts = 0;
    const transport: MailTransport = {
      send: async () => {
        attempts += 1;
        throw new MailFailure("busy", false);
      },
    };
    const mailer = new Mailer({ transport, retryMsMin: 0 });
    mailer.post(mailFrom(serverAt(1)), now);
    await until(() => mailer.waiting === 0);
    expect(attempts).toBe(limits.mailAttemptsMax);
  });

  test("a tenant's mails are bounded, and its bound is not another's", () => {
    const mailer = new Mailer({ transport: { send: () => new Promise<void>(() => undefined) } });
    for (let index = 0; index < limits.mailTenantQueueMax; index++)
      mailer.post(mailFrom(serverAt(1), "a"), now);
    expect(() => mailer.post(mailFrom(serverAt(1), "a"), now)).toThrow("too many are waiting");
    expect(() => mailer.post(mailFrom(serverAt(1), "b"), now)).not.toThrow();
  });

  test("close sends what can be sent and takes no more", async () => {
    const sent: string[] = [];
    const mailer = new Mailer({ transport: recording(sent, 20) });
    for (let index = 0; index < 5; index++) mailer.post(mailFrom(serverAt(1)), now);
    await mailer.close();
    expect(sent).toHaveLength(5);
    expect(() => mailer.post(mailFrom(serverAt(1)), now)).toThrow("is stopping");
  });
});

describe("the platform's sender", () => {
  const platform = parsePlatformSender(
    "smtp://u%40x:p%3A1@mail.test:2525?from=noreply@platform.test",
    "--mail",
  );

  test("parsePlatformSender reads the address and refuses others without telling the password", () => {
    expect(platform).toEqual({
      server: serverAt(2525, { host: "mail.test", username: "u@x", password: "p:1" }),
      address: "noreply@platform.test",
    });
    expect(parsePlatformSender("smtps://mail.test?from=a@b.c", "--mail").server).toMatchObject({
      port: 465,
      tls: true,
    });
    for (const raw of ["", "mail.test", "http://mail.test?from=a@b.c", "smtp://u:hunter2@mail.test"]) {
      expect(() => parsePlatformSender(raw, "--mail")).toThrow(UserError);
      expect(() => parsePlatformSender(raw, "--mail")).not.toThrow("hunter2");
    }
  });

  test("it sends for tenants without a server, under its own address, within the hour's allowance", async () => {
    const sent: string[] = [];
    let nowMs = 0;
    const mailer = new Mailer({ transport: recording(sent), platform, nowMs: () => nowMs });
    for (let index = 0; index < limits.platformMailsPerTenantHour; index++)
      await mailer.deliver(mailFrom(undefined));
    expect(sent[0]).toBe("mail.test Acme Support <noreply@platform.test> reply-to support@acme.test");
    expect(mailer.deliver(mailFrom(undefined))).rejects.toMatchObject({ code: "rate_limited" });
    await mailer.deliver(mailFrom(undefined, "other"));
    await mailer.deliver(mailFrom(serverAt(1)));
    nowMs += 60 * 60_000;
    await mailer.deliver(mailFrom(undefined));
  });

  test("without any server it is an error, not a success", () => {
    expect(() => new Mailer().post(mailFrom(undefined), now)).toThrow("no mail server is set up");
  });
});

test("fillPlaceholders fills what is known, once", () => {
  const values = new Map([
    ["APP_NAME", "{TOKEN}"],
    ["TOKEN", "secret"],
    ["RECORD:name", "&lt;b&gt;"],
  ]);
  expect(fillPlaceholders("{APP_NAME} {RECORD:name} {RECORD:gone} {token}", values)).toBe(
    "{TOKEN} &lt;b&gt; {RECORD:gone} {token}",
  );
  expect(fillTemplate({ subject: "{APP_NAME}", body: "<p>{TOKEN}</p>" }, values)).toMatchObject({
    subject: "{TOKEN}",
    html: expect.stringContaining("<p>secret</p>"),
  });
});

test("what placeholders bring in is bounded: a template may name a long value often", () => {
  const max = limits.mailValuesCharactersMax;
  const values = new Map([
    ["A", "x".repeat(max - 1)],
    ["B", "y"],
  ]);
  expect(fillPlaceholders("{A}{A}{B}{B}{C}".repeat(2), values)).toBe(`${"x".repeat(max - 1)}y{C}{C}`);
});

test("a mail of deeply nested HTML is sent all the same", async () => {
  const sent: string[] = [];
  const mail = mailFrom(serverAt(1));
  mail.content.html = `<p>first</p>${"<div>".repeat(40_000)}`;
  await new Mailer({ transport: { send: async (_, { text }) => void sent.push(text) } }).deliver(mail);
  expect(sent[0]).toStartWith("first");
});

function recording(sent: string[], delayMs = 0): MailTransport {
  return {
    async send({ host }, { from, replyTo }) {
      await Bun.sleep(delayMs);
      sent.push(`${host} ${from.name} <${from.address}> reply-to ${replyTo?.address ?? "-"}`);
    },
  };
}

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error("it did not come so");
    await Bun.sleep(2);
  }
}
