/** Real etcd servers on ports of their own, for tests and benchmarks: `bun scripts/etcd-server.ts [members]` runs some until it is stopped. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianProgram } from "./debian.ts";

export interface EtcdServer {
  name: string;
  url: string;
  /** Where the other members reach it. */
  peerUrl: string;
  pid(): number | undefined;
  kill(signal: NodeJS.Signals): void;
  /** On the data that it has, after a kill. */
  start(): Promise<void>;
}

export interface EtcdCluster {
  servers: EtcdServer[];
  /** Client addresses, separated by commas. */
  urls: string;
  stop(): Promise<void>;
}

const START_MS = 20_000;

/** What control's transactions need beyond etcd's defaults, and an end for its history. */
const FLAGS = [
  ...["--max-txn-ops=512", "--max-request-bytes=8388608"],
  ...["--auto-compaction-mode=periodic", "--auto-compaction-retention=1h"],
  ...["--logger=zap", "--log-level=error"],
];

/**
 * A cluster for this process, empty. `skip` says why there is none; with CI=true that is an error.
 *
 * @param advertise where the others reach a member's peer address: for proxies
 */
export async function ensureEtcd(
  members = 1,
  advertise: (name: string, peerUrl: string) => string | Promise<string> = (_, url) => url,
): Promise<EtcdCluster | { skip: string }> {
  const program = await debianProgram("etcd", "etcd-server", "usr/bin/etcd");
  if (program !== undefined) return startEtcd(program, members, advertise);
  const skip = "etcd is not installed and could not be unpacked from Debian's etcd-server";
  if (process.env["CI"] === "true") throw new Error(`Cannot test against etcd: ${skip}`);
  console.warn(`\n!!! ETCD TESTS SKIPPED: ${skip}\n`);
  return { skip };
}

async function startEtcd(
  program: string,
  count: number,
  advertise: (name: string, peerUrl: string) => string | Promise<string>,
): Promise<EtcdCluster> {
  const directory = await mkdtemp(join(tmpdir(), "manybase-etcd-"));
  const ports = await freePorts(count * 2);
  const names = Array.from({ length: count }, (_, i) => `e${i + 1}`);
  const peers = names.map((_, i) => `http://127.0.0.1:${ports[i]}`);
  const reached = await Promise.all(names.map(async (name, i) => advertise(name, peers[i] ?? "")));
  const initial = names.map((name, i) => `${name}=${reached[i]}`).join(",");
  const servers = names.map((name, i) =>
    member(program, {
      name,
      directory,
      peerUrl: peers[i]!,
      reached: reached[i]!,
      port: ports[count + i]!,
      initial,
    }),
  );
  const stop = async (): Promise<void> => {
    for (const server of servers) server.kill("SIGKILL");
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await Promise.all(servers.map((server) => server.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  return { servers, urls: servers.map((server) => server.url).join(","), stop };
}

function member(
  program: string,
  at: { name: string; directory: string; peerUrl: string; reached: string; port: number; initial: string },
): EtcdServer {
  const url = `http://127.0.0.1:${at.port}`;
  let child: Bun.Subprocess | undefined;
  return {
    name: at.name,
    url,
    peerUrl: at.peerUrl,
    pid: () => child?.pid,
    kill: (signal) => child?.kill(signal),
    async start() {
      child = Bun.spawn(
        [
          program,
          ...[`--name=${at.name}`, `--data-dir=${join(at.directory, at.name)}`],
          ...[`--listen-peer-urls=${at.peerUrl}`, `--initial-advertise-peer-urls=${at.reached}`],
          ...[`--listen-client-urls=${url}`, `--advertise-client-urls=${url}`],
          ...[`--initial-cluster=${at.initial}`, "--initial-cluster-state=new", ...FLAGS],
        ],
        {
          stdin: "ignore",
          stdout: "ignore",
          stderr: "ignore",
          env: { ...process.env, ETCD_UNSUPPORTED_ARCH: "arm64" },
        },
      );
      await healthy(url, child);
    },
  };
}

async function healthy(url: string, child: Bun.Subprocess): Promise<void> {
  const deadlineMs = performance.now() + START_MS;
  while (performance.now() < deadlineMs) {
    if (child.exitCode !== null) throw new Error(`Cannot start etcd: it ended with ${child.exitCode}`);
    const answer = await fetch(`${url}/health`, { signal: AbortSignal.timeout(1_000) }).then(
      (response) => response.text(),
      () => "",
    );
    if (answer.includes("true")) return;
    await Bun.sleep(50);
  }
  throw new Error(`Cannot start etcd: ${url} is not healthy`);
}

/** Below those that the system gives to connections: who is down for a moment finds its port free again. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    try {
      const server = Bun.serve({ port, hostname: "127.0.0.1", fetch: () => new Response() });
      await server.stop(true);
    } catch {
      continue;
    }
    if (!ports.includes(port)) ports.push(port);
  }
  return ports;
}

if (import.meta.main) {
  const cluster = await ensureEtcd(Number(process.argv[2] ?? 1));
  if ("skip" in cluster) process.exit(1);
  console.log(`etcd at ${cluster.urls}`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void cluster.stop().then(() => process.exit(0)));
  }
}
