/**
 * The gateway on each runtime against nginx as the reference proxy, the same backend behind all, 1 KB answers, keep-alive:
 * `bun test/bench/gateway.ts [--seconds 4] [--rounds 3] [--threads <processors>]`, as many threads as nginx has workers. Prints requests
 * per second, their ratio to nginx, the processor time that the proxy itself takes for one, and the latency that it adds at low load.
 * Rounds alternate and the best counts, so that a neighbour's work does not.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianProgram } from "../../scripts/debian.ts";
import { eventually, killAll, run } from "../e2e/process.ts";
import { FakeControl, removeData, startGateway } from "../gateway/platform.ts";

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
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(body) });
  console.log("backend on " + server.port);
`;

const wrk = await debianProgram("wrk", "wrk", "usr/bin/wrk");
if (wrk === undefined) process.exit(1);
const folder = mkdtempSync(join(tmpdir(), "manybase-bench-"));
const backend = run([process.execPath, "-e", BACKEND]);
const backendPort = Number(await backend.line("backend on "));
const ports = new Map<string, number>([["direct", backendPort]]);
const pids = new Map<string, number>([["direct", backend.pid]]);

const nginx = await debianProgram("nginx", "nginx", "usr/sbin/nginx");
if (nginx !== undefined) ports.set("nginx", await startNginx(nginx));
const control = new FakeControl();
control.set("acme", { url: `http://127.0.0.1:${backendPort}`, incarnation: 1 });
for (const runtime of ["bun", "deno"] as const) {
  const gateway = await startGateway(runtime, control.url, ["--tenant-rate=0", `--threads=${THREADS}`]);
  ports.set(runtime, gateway.port);
  pids.set(runtime, gateway.process.pid);
  await eventually(async () => {
    const answer = await fetch(gateway.url("acme"));
    if (!answer.ok || (await answer.text()).length !== 1024) throw new Error(`no answer of ${runtime}`);
  });
}

interface Best {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  lowP50Ms: number;
  /** Of the proxy, for one request. */
  processorUs: number;
}
const best = new Map<string, Best>();
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, port] of ports) {
    const beforeUs = processorUs(pids.get(name));
    const load = await measure(port, 64, SECONDS);
    const usedUs = (processorUs(pids.get(name)) - beforeUs) / load.requests;
    const low = await measure(port, 1, Math.max(1, Math.ceil(SECONDS / 2)));
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
  console.log(
    `${name.padEnd(8)} ${String(Math.round(perSecond)).padStart(7)}/s${ratio}  ${us.toFixed(1).padStart(5)} us each  p50 ${p50Ms} ms  p99 ${p99Ms} ms  ` +
      `alone: p50 ${lowP50Ms.toFixed(3)} ms, added ${(lowP50Ms - direct).toFixed(3)} ms`,
  );
}
await killAll();
await control.stop();
removeData();
rmSync(folder, { recursive: true, force: true });
process.exit(0);

async function measure(port: number, connections: number, seconds: number) {
  const words = ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency", "-H", "Host: acme.localhost"];
  const child = Bun.spawn([wrk ?? "wrk", ...words, `http://127.0.0.1:${port}/`], { stdout: "pipe" });
  const text = await new Response(child.stdout).text();
  if (/Non-2xx/.test(text)) throw new Error(`Cannot measure port ${port}: it answered errors\n${text}`);
  const find = (pattern: RegExp) => pattern.exec(text)?.slice(1) ?? [];
  return {
    requests: Number(find(/(\d+) requests in/)[0]),
    perSecond: Number(find(/Requests\/sec:\s+([\d.]+)/)[0]),
    p50Ms: milliseconds(find(/50%\s+([\d.]+)(\w+)/)),
    p99Ms: milliseconds(find(/99%\s+([\d.]+)(\w+)/)),
  };
}

/** Of a process and its children, all threads, so far. */
function processorUs(pid = 0): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [, , , , , , , , , , , user = 0, system = 0] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
  const own = (Number(user) + Number(system)) * TICK_US;
  return children.reduce((sum, child) => sum + processorUs(Number(child)), own);
}

function milliseconds([value = "NaN", unit = "ms"]: string[]): number {
  return Number(value) * (unit === "us" ? 0.001 : unit === "s" ? 1000 : 1);
}

async function startNginx(program: string): Promise<number> {
  const probe = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const port = probe.port ?? 0;
  await probe.stop(true);
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
  await eventually(async () => {
    if (!(await fetch(`http://127.0.0.1:${port}/`)).ok) throw new Error("nginx does not answer");
  });
  pids.set("nginx", running.pid);
  return port;
}
