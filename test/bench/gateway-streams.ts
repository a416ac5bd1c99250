/**
 * What open, quiet event streams cost one gateway: `bun test/bench/gateway-streams.ts [--streams 10000] [--runtime bun|deno]`. Clients and
 * the worker are other processes; printed is the gateway's resident memory, and whether an event still reaches every stream at the end.
 */
import { bin, eventually, run } from "../e2e/process.ts";
import { FakeControl, removeData, startGateway } from "../gateway/platform.ts";
import { bench } from "./ending.ts";

const option = (name: string, fallback: string): string => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : (process.argv[at + 1] ?? fallback);
};
const STREAMS = Number(option("streams", "10000"));
const RUNTIMES = option("runtime", "bun,deno").split(",") as ("bun" | "deno")[];
const MIB = 1024 * 1024;

const WORKER = `
  const open = new Set();
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", idleTimeout: 0, fetch(request) {
    if (request.url.endsWith("/tell")) {
      for (const one of open) one.enqueue("data: event\\n\\n");
      return new Response(String(open.size));
    }
    let mine;
    return new Response(new ReadableStream({
      start: (c) => { mine = c; open.add(c); c.enqueue("data: hello\\n\\n"); },
      cancel: () => { open.delete(mine); },
    }), { headers: { "content-type": "text/event-stream" } });
  } });
  console.log("worker on " + server.port);
`;
const CLIENTS = `
  const [port, count] = process.argv.slice(-2).map(Number);
  let hello = 0, events = 0;
  const request = "GET /stream HTTP/1.1\\r\\nHost: acme.localhost\\r\\nAccept: text/event-stream\\r\\n\\r\\n";
  const handlers = { open: (s) => { s.write(request); }, data: (s, bytes) => {
    const text = bytes.toString("latin1");
    if (text.includes("hello")) hello++;
    if (text.includes("event\\n")) events++;
  } };
  for (let i = 0; i < count; i += 100) {
    await Promise.all(Array.from({ length: Math.min(100, count - i) }, () => Bun.connect({ hostname: "127.0.0.1", port, socket: handlers })));
  }
  setInterval(() => console.log("seen " + hello + " " + events), 200);
`;

await bench(main, removeData);

async function main(): Promise<void> {
  const worker = run([bin("bun"), "-e", WORKER]);
  const workerUrl = `http://127.0.0.1:${await worker.line("worker on ")}`;
  const control = new FakeControl();
  control.set("acme", { url: workerUrl, incarnation: 1 });
  for (const runtime of RUNTIMES) {
    const options = ["--tenant-requests=20000"];
    const gateway = await startGateway(runtime, control.url, options, undefined, true);
    await eventually(async () => {
      const answer = await fetch(gateway.url("acme"));
      await answer.body?.cancel();
    });
    const before = await gateway.collectedBytes();
    const clients = run([bin("bun"), "-e", CLIENTS, String(gateway.port), String(STREAMS)]);
    const seen = (): number[] => (/seen (\d+) (\d+)\n$/.exec(clients.output()) ?? []).slice(1).map(Number);
    await eventually(() => {
      if (seen()[0] !== STREAMS)
        throw new Error(`${seen()[0]} of ${STREAMS} streams are open\n${clients.errors()}`);
    }, 120_000);
    await Bun.sleep(2_000);
    const open = await gateway.collectedBytes();
    await fetch(`${workerUrl}/tell`);
    await eventually(() => {
      if ((seen()[1] ?? 0) < STREAMS) throw new Error(`${seen()[1]} of ${STREAMS} heard it`);
    }, 60_000);
    console.log(
      `${runtime}: ${STREAMS} streams, ${(before / MIB).toFixed(0)} → ${(open / MIB).toFixed(0)} MiB, ` +
        `${((open - before) / STREAMS / 1024).toFixed(1)} KiB each; all heard an event`,
    );
    clients.killAll();
    gateway.process.killAll();
  }
  await control.stop();
}
