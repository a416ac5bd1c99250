/** A real SMTP server on loopback, for tests: it keeps what it was sent, and fails when told to. */
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";

const WAIT_MS = 5_000;

export interface ReceivedMail {
  from: string;
  to: string[];
  login: string;
  /** The whole message, quoted-printable decoded. */
  raw: string;
}

export interface TestSmtp {
  port: number;
  received: ReceivedMail[];
  /** Answers to the next messages; taken one by one. */
  refusals: { code: number; text: string }[];
  /** Connections so far. */
  connections: () => number;
  /** Resolves to the nth mail (from 1), which may still be to come. */
  nth: (count: number) => Promise<ReceivedMail>;
  close: () => Promise<void>;
}

export async function startTestSmtp(login?: { username: string; password: string }): Promise<TestSmtp> {
  const received: ReceivedMail[] = [];
  const refusals: TestSmtp["refusals"] = [];
  const waiting = new Set<() => void>();
  let connections = 0;
  const server = new SMTPServer({
    authOptional: login === undefined,
    allowInsecureAuth: true,
    disabledCommands: ["STARTTLS"],
    disableReverseLookup: true,
    onConnect: (_, done) => {
      connections += 1;
      done();
    },
    onAuth: ({ username, password }, _, done) => {
      const fits = username === login?.username && password === login?.password;
      if (fits) done(null, { user: username });
      else done(Object.assign(new Error("Invalid login"), { responseCode: 535 }));
    },
    onData: (stream, session, done) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        const refusal = refusals.shift();
        if (refusal !== undefined) {
          done(Object.assign(new Error(refusal.text), { responseCode: refusal.code }));
          return;
        }
        const { mailFrom, rcptTo } = session.envelope;
        received.push({
          from: mailFrom === false ? "" : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          login: typeof session.user === "string" ? session.user : "",
          raw: decodeQuotedPrintable(Buffer.concat(chunks)),
        });
        done();
        for (const tell of waiting) tell();
      });
    },
  });
  server.on("error", () => {
    // a client that hangs up is no failure of the server
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", () => resolve()));
  return {
    port: (server.server.address() as AddressInfo).port,
    received,
    refusals,
    connections: () => connections,
    nth: (count) => {
      const { promise, resolve, reject } = Promise.withResolvers<ReceivedMail>();
      const look = (): void => {
        const found = received[count - 1];
        if (found !== undefined) resolve(found);
      };
      waiting.add(look);
      look();
      const timer = setTimeout(() => reject(new Error(`mail ${count} did not come`)), WAIT_MS);
      return promise.finally(() => {
        clearTimeout(timer);
        waiting.delete(look);
      });
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function decodeQuotedPrintable(raw: Buffer): string {
  const bytes = raw
    .toString("latin1")
    .replace(/=\r\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString();
}
