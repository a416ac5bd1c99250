/**
 * The gateway on each runtime against nginx as the reference proxy, the same backend behind all, 1 KB answers, keep-alive:
 * `bun test/bench/gateway.ts [--seconds 4] [--rounds 3] [--threads <processors>] [--only bun]`, as many threads as nginx has workers. Prints
 * requests per second, their ratio to nginx, the processor time that the proxy itself takes for one, and the latency that it adds at low
 * load. "bare" is the runtime without a gateway: bytes from socket to socket, which no gateway can undercut, and its own server and client.
 * Rounds alternate and the best counts, so that a neighbour's work does not; a first one, which counts nothing, lets the runtimes compile.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianProgram } from "../../scripts/debian.ts";
import { type Running, bin, eventually, finish, run } from "../e2e/process.ts";
import { FakeControl, removeData, startGateway } from "../gateway/platform.ts";
import { freePort } from "../gateway/real-platform.ts";
import { BUN_FETCH, BUN_SOCKETS, DENO_FETCH, DENO_SOCKETS } from "./bare-proxies.ts";
import { bench } from "./ending.ts";

const option = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const SECONDS = option("seconds", 4);
const ROUNDS = option("rounds", 3);
const THREADS = option("threads", navigator.hardwareConcurrency);
const TICK_US = 10_000;
const BACKEND = `
  const body = "x".repeat(1024);
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", idleTimeout: 0, fetch: () => new Response(body) });
  console.log("backend on " + server.port);
`;

/** A proxy that is measured. */
interface Place {
  port: number;
  pids: number[];
}

const only = process.argv.indexOf("--only");
const wanted = only < 0 ? "" : (process.argv[only + 1] ?? "");
const folder = mkdtempSync(join(tmpdir(), "manybase-bench-"));
await bench(main, () => {
  removeData();
  rmSync(folder, { recursive: true, force: true });
});

async function main(): Promise<void> {
  const wrk = await debianProgram("wrk", "wrk", "usr/bin/wrk");
  if (wrk === undefined) throw new Error("Cannot measure without wrk");
  const backend = run([process.execPath, "-e", BACKEND]);
  const backendPort = Number(await backend.line("backend on "));
  const places = new Map<string, Place>([["direct", { port: backendPort, pids: [backend.pid] }]]);
  const nginx = await debianProgram("nginx", "nginx", "usr/sbin/nginx");
  if (nginx !== undefined) places.set("nginx", await startNginx(nginx, backendPort));
  const control = new FakeControl();
  control.set("acme", { url: `http://127.0.0.1:${backendPort}`, incarnation: 1 });
  const bare = { bun: [BUN_SOCKETS, BUN_FETCH], deno: [DENO_SOCKETS, DENO_FETCH] } as const;
  for (const runtime of ["bun", "deno"] as const) {
    if (!runtime.includes(wanted)) continue;
    const gateway = await startGateway(runtime, control.url, ["--tenant-rate=0", `--threads=${THREADS}`]);
    places.set(runtime, { port: gateway.port, pids: [gateway.process.pid] });
    const [sockets, server] = bare[runtime];
    places.set(`${runtime} bare sockets`, await startBare(runtime, sockets, backendPort));
    places.set(`${runtime} bare fetch`, await startBare(runtime, server, backendPort));
  }
  for (const [name, { port }] of places) {
    await eventually(async () => {
      const answer = await fetch(`http://acme.localhost:${port}/`);
      if (!answer.ok || (await answer.text()).length !== 1024) throw new Error(`no answer of ${name}`);
    });
  }
  await measureAll(wrk, places);
  await control.stop();
}

interface Best {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  lowP50Ms: number;
  /** Of the proxy, for one request. */
  processorUs: number;
}
async function measureAll(wrk: string, places: ReadonlyMap<string, Place>): Promise<void> {
  const best = new Map<string, Best>();
  for (const { port } of places.values()) await measure(wrk, port, 64, SECONDS);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, { port, pids }] of places) {
      const beforeUs = sumUs(pids);
      const load = await measure(wrk, port, 64, SECONDS);
      const usedUs = (sumUs(pids) - beforeUs) / load.requests;
      const low = await measure(wrk, port, 1, Math.max(1, Math.ceil(SECONDS / 2)));
      const known = best.get(name);
      best.set(name, {
        perSecond: Math.max(load.perSecond, known?.perSecond ?? 0),
        p50Ms: Math.min(load.p50Ms, known?.p50Ms ?? Infinity),
        p99Ms: Math.min(load.p99Ms, known?.p99Ms ?? Infinity),
        lowP50Ms: Math.min(low.p50Ms, known?.lowP50Ms ?? Infinity),
        processorUs: Math.min(usedUs, known?.processorUs ?? Infinity),
      });
    }
  }
  const reference = best.get("nginx")?.perSecond;
  const direct = best.get("direct")?.lowP50Ms ?? 0;
  for (const [name, { perSecond, p50Ms, p99Ms, lowP50Ms, processorUs: us }] of best) {
    const ratio = reference === undefined ? "" : `  ${(perSecond / reference).toFixed(2)}x of nginx`;
    const floor = best.get(`${name} bare sockets`)?.perSecond;
    const own = floor === undefined ? "" : `  ${(perSecond / floor).toFixed(2)}x of its bare sockets`;
    console.log(
      `${name.padEnd(17)} ${String(Math.round(perSecond)).padStart(7)}/s${ratio}  ${us.toFixed(1).padStart(5)} us each  p50 ${p50Ms} ms  ` +
        `p99 ${p99Ms} ms  alone: p50 ${lowP50Ms.toFixed(3)} ms, added ${(lowP50Ms - direct).toFixed(3)} ms${own}`,
    );
  }
}

/** As many processes as the gateway has threads, on one port. */
async function startBare(runtime: "bun" | "deno", program: string, backendPort: number): Promise<Place> {
  const port = await freePort();
  const command = runtime === "bun" ? [bin("bun"), "-e"] : [bin("deno"), "eval", "--unstable-net"];
  const all: Running[] = [];
  for (let i = 0; i < THREADS; i++) {
    all.push(run([...command, program, "--", String(backendPort), String(port)]));
  }
  await Promise.all(all.map((one) => one.line("ready")));
  return { port, pids: all.map(({ pid }) => pid) };
}

async function measure(wrk: string, port: number, connections: number, seconds: number) {
  const words = ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency", "-H", "Host: acme.localhost"];
  const { output: text } = await finish([wrk, ...words, `http://127.0.0.1:${port}/`]);
  if (/Non-2xx/.test(text)) throw new Error(`Cannot measure port ${port}: it answered errors\n${text}`);
  const find = (pattern: RegExp) => pattern.exec(text)?.slice(1) ?? [];
  return {
    requests: Number(find(/(\d+) requests in/)[0]),
    perSecond: Number(find(/Requests\/sec:\s+([\d.]+)/)[0]),
    p50Ms: milliseconds(find(/50%\s+([\d.]+)(\w+)/)),
    p99Ms: milliseconds(find(/99%\s+([\d.]+)(\w+)/)),
  };
}

function sumUs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + processorUs(pid), 0);
}

/** Of a process and its children, all threads, so far. */
function processorUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [, , , , , , , , , , , user = 0, system = 0] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
  const own = (Number(user) + Number(system)) * TICK_US;
  return children.reduce((sum, child) => sum + processorUs(Number(child)), own);
}

function milliseconds([value = "NaN", unit = "ms"]: string[]): number {
  return Number(value) * (unit === "us" ? 0.001 : unit === "s" ? 1000 : 1);
}

async function startNginx(program: string, backendPort: number): Promise<Place> {
  const port = await freePort();
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  );
  writeFileSync(
    join(folder, "nginx.conf"),
    `worker_processes ${THREADS}; daemon off; pid ${join(folder, "pid")}; error_log ${join(folder, "error.log")};
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; ${paths.join(" ")}
  upstream backend { server 127.0.0.1:${backendPort}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
    }
  }
}
`,
  );
  const running = run([
    program,
    "-p",
    folder,
    "-e",
    join(folder, "error.log"),
    "-c",
    join(folder, "nginx.conf"),
  ]);
  return { port, pids: [running.pid] };
}
