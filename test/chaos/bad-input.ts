/**
 * Bad requests by the ten thousand at one gateway: each must have a clear status or a closed connection, the process must live and serve,
 * and its memory must be what it was. Rounds of the same load show a leak that one round hides.
 */
import { FakeControl, startGateway, startWorker } from "../gateway/platform.ts";
import { eventually } from "../e2e/process.ts";

export interface BadInputReport {
  runtime: string;
  perRound: number;
  /** Statuses by kind of request; `closed` when the connection ended without one. */
  outcomes: Record<string, Record<string, number>>;
  /** Of the process, after a forced collection: before, and after each round. */
  residentMiB: number[];
  violations: string[];
}

export interface BadInputOptions {
  runtime: "bun" | "deno";
  perRound: number;
  rounds: number;
  connections: number;
}

const MIB = 1024 * 1024;
export const GROWTH_BYTES_MAX = 20 * MIB;
/** Between two rounds: what a run of the collector leaves by chance. */
export const ROUND_BYTES_MAX = 5 * MIB;
const ANSWER_MS = 5_000;

interface Kind {
  name: string;
  /** What is sent, in pieces with a short pause between. */
  text: (n: number) => readonly string[];
  /** The client leaves without waiting. */
  leaves?: "ends" | "resets";
  allowed: readonly (number | "closed")[];
}

const HOST = "Host: acme.localhost";
export const KINDS: readonly Kind[] = [
  {
    name: "malformed host",
    text: (n) => [`GET / HTTP/1.1\r\nHost: a b${n}\r\n\r\n`],
    allowed: [400],
  },
  {
    name: "unknown tenant",
    text: (n) => [`GET / HTTP/1.1\r\nHost: nobody-${n}.localhost\r\n\r\n`],
    allowed: [404],
  },
  {
    name: "unknown host",
    text: (n) => [`GET /${n} HTTP/1.1\r\nHost: h${n}.example.org\r\n\r\n`],
    allowed: [404],
  },
  {
    name: "oversized header",
    text: () => [`GET / HTTP/1.1\r\n${HOST}\r\nX: ${"a".repeat(40_000)}\r\n\r\n`],
    allowed: [400, 413, 431, "closed"],
  },
  {
    name: "too many headers",
    text: () => [`GET / HTTP/1.1\r\n${HOST}\r\n${"X-A: b\r\n".repeat(300)}\r\n`],
    allowed: [400, 413, 431, "closed"],
  },
  {
    name: "long address",
    text: () => [`GET /${"a".repeat(17_000)} HTTP/1.1\r\n${HOST}\r\n\r\n`],
    allowed: [400, 413, 414, 431, "closed"],
  },
  {
    name: "bad chunks",
    text: () => [`POST / HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n`],
    allowed: [400, "closed"],
  },
  {
    name: "chunks and a length",
    text: () => [
      `POST / HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n`,
    ],
    allowed: [400, "closed"],
  },
  {
    name: "no request at all",
    text: () => ["\0\x01\x02 nonsense\r\n\r\n"],
    allowed: [400, 405, 501, "closed"],
  },
  {
    name: "half a head",
    text: () => ["GET / HTTP/1.1\r\nHost: ac"],
    leaves: "ends",
    allowed: [400, 408, "closed"],
  },
  {
    name: "half a body",
    text: () => [`POST / HTTP/1.1\r\n${HOST}\r\nContent-Length: 1000\r\n\r\nabc`],
    leaves: "ends",
    allowed: [400, "closed"],
  },
  {
    name: "half a body in chunks",
    text: () => [`POST / HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`],
    leaves: "resets",
    allowed: [400, "closed"],
  },
  {
    name: "a body in drips",
    text: () => [`POST / HTTP/1.1\r\n${HOST}\r\nContent-Length: 4\r\n\r\n`, "a", "b", "c", "d"],
    allowed: [200],
  },
  {
    name: "gone before the answer",
    text: () => [`GET / HTTP/1.1\r\n${HOST}\r\n\r\n`],
    leaves: "resets",
    allowed: [200, "closed"],
  },
];

export async function badInput(
  { runtime, perRound, rounds, connections }: BadInputOptions,
  say: (line: string) => void,
): Promise<BadInputReport> {
  const worker = startWorker(1, async (request) => {
    await request.arrayBuffer().catch(() => undefined);
    return new Response("ok");
  });
  const control = new FakeControl();
  control.set("acme", worker);
  const gateway = await startGateway(runtime, control.url, [], undefined, true);
  await eventually(async () => {
    if (!(await fetch(gateway.url("acme"))).ok) throw new Error("not up yet");
  });
  const outcomes: BadInputReport["outcomes"] = {};
  const violations: string[] = [];
  const round = async (count: number): Promise<void> => {
    let next = 0;
    const user = async (): Promise<void> => {
      for (let n = next++; n < count; n = next++) {
        const kind = KINDS[n % KINDS.length];
        if (kind === undefined) continue;
        const outcome = await send(gateway.port, kind, n);
        const ofKind = (outcomes[kind.name] ??= {});
        ofKind[outcome] = (ofKind[outcome] ?? 0) + 1;
        if (!kind.allowed.includes(outcome) && violations.length < 100) {
          violations.push(`${kind.name}: ${outcome}`);
        }
      }
    };
    await Promise.all(Array.from({ length: connections }, user));
  };
  const measure = async (): Promise<number> => {
    await Bun.sleep(1_000);
    return gateway.collectedBytes();
  };
  // What is loaded at the first use of each path is no leak, nor what an allocator or a collector keeps for as much at a time.
  await round(Math.max(KINDS.length * 20, perRound));
  const resident = [await measure()];
  for (let i = 0; i < rounds; i++) {
    await round(perRound);
    resident.push(await measure());
    say(`${runtime}, round ${i + 1}: ${resident.map((bytes) => (bytes / MIB).toFixed(1)).join(" → ")} MiB`);
  }
  if (!(await fetch(gateway.url("acme"))).ok) violations.push("it does not serve any more");
  const [before = 0] = resident;
  for (const [i, bytes] of resident.entries()) {
    if (bytes > before + GROWTH_BYTES_MAX)
      violations.push(`round ${i}: ${bytes - before} bytes more than before`);
  }
  const grows = resident.slice(2).every((bytes, i) => bytes > (resident[i + 1] ?? 0) + ROUND_BYTES_MAX);
  if (resident.length > 2 && grows) violations.push("memory grows with each round");
  gateway.process.kill("SIGKILL");
  await Promise.all([gateway.process.exited, worker.stop(), control.stop()]);
  const residentMiB = resident.map((bytes) => Math.round((bytes / MIB) * 10) / 10);
  return { runtime, perRound, outcomes, residentMiB, violations };
}

export async function send(port: number, { text, leaves }: Kind, n: number): Promise<number | "closed"> {
  const { promise, resolve } = Promise.withResolvers<number | "closed">();
  const timer = setTimeout(() => resolve(0), ANSWER_MS);
  let received = "";
  const over = (): void => resolve(statusOf(received) ?? "closed");
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, chunk) => {
        received += chunk.toString("latin1");
        if (received.includes("\r\n\r\n")) over();
      },
      end: over,
      close: over,
      error: over,
    },
  });
  let first = true;
  for (const piece of text(n)) {
    if (!first) await Bun.sleep(1);
    first = false;
    socket.write(piece);
  }
  if (leaves !== undefined) {
    await Bun.sleep(1);
    if (leaves === "ends") socket.end();
    else socket.terminate();
    resolve(statusOf(received) ?? "closed");
  }
  const outcome = await promise;
  clearTimeout(timer);
  socket.end();
  return outcome;
}

function statusOf(text: string): number | undefined {
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1];
  return status === undefined ? undefined : Number(status);
}
