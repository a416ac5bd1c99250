import { existsSync } from "node:fs";
import { mkdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import type { CephStore } from "./ceph-config.ts";
import {
  type ServerState,
  answers,
  cephInstalled,
  createCeph,
  readState,
  resumeCeph,
  runningDaemons,
  signalCeph,
  until,
} from "./ceph.ts";

export interface S3Endpoint {
  endpoint: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
}

/** A server that no test has asked for in this time stops by itself. */
export const IDLE_MS = 5 * 60_000;
const HEARTBEAT_MS = 30_000;
const LOCK_MS = 120_000;

export const serverDirectory = (store: CephStore): string =>
  process.env["MANYBASE_S3_DIR"] ?? join(tmpdir(), `manybase-s3-${userInfo().uid}-${store}`);

/** Idempotent, also among processes: whoever comes second waits for the first and gets the same server. */
export async function startServer(store: CephStore, idleMs: number): Promise<ServerState> {
  const directory = serverDirectory(store);
  return exclusively(directory, async () => {
    const state = await running(directory, store);
    await writeFile(leasePath(directory), String(idleMs));
    await startWatcher(directory, store);
    return state;
  });
}

/** `kill9` is for crash tests; a memory store forgets everything then, and starts empty. */
export async function stopServer(store: CephStore, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  const directory = serverDirectory(store);
  if (!existsSync(directory)) return;
  await exclusively(directory, async () => {
    await signalCeph(directory, signal);
    await rm(leasePath(directory), { force: true });
    if (signal === "SIGTERM" && store === "memstore") await rm(directory, { recursive: true, force: true });
  });
}

/** The process that stops an idle server. Ends when the server was stopped by someone else. */
export async function watchServer(store: CephStore): Promise<void> {
  const lease = leasePath(serverDirectory(store));
  for (;;) {
    await Bun.sleep(5_000);
    const idleMs = Number(await readFile(lease, "utf8").catch(() => "0"));
    const used = await stat(lease).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    );
    if (used === 0) return;
    if (Date.now() - used > idleMs) return stopServer(store, "SIGTERM");
  }
}

/**
 * A real S3 server for tests: the one named by MANYBASE_TEST_S3_ENDPOINT, else a local Ceph that is started when it
 * does not run and stays up for the next test file. `skip` says why there is none; with CI=true that is an error.
 */
export async function ensureS3Server(): Promise<S3Endpoint | { skip: string }> {
  const given = process.env["MANYBASE_TEST_S3_ENDPOINT"];
  if (given !== undefined && given !== "") return fromEnvironment(given);
  const skip = whyNoServer();
  if (skip !== undefined) {
    if (process.env["CI"] === "true") throw new Error(`Cannot test against S3: ${skip}`);
    console.warn(`\n!!! S3 TESTS SKIPPED: ${skip}\n`);
    return { skip };
  }
  const { endpoint, region, accessKeyId, secretAccessKey } = await startServer("memstore", IDLE_MS);
  const lease = leasePath(serverDirectory("memstore"));
  const touch = (): void => void utimes(lease, new Date(), new Date()).catch(() => undefined);
  setInterval(touch, HEARTBEAT_MS).unref();
  return { endpoint, region, accessKeyId, secretAccessKey };
}

/** Stops what `ensureS3Server` started; without it, the server stops some minutes after its last use. */
export const stopS3Server = (): Promise<void> => stopServer("memstore", "SIGTERM");

function fromEnvironment(endpoint: string): S3Endpoint {
  const variable = (name: string, fallback?: string): string => {
    const value = process.env[`MANYBASE_TEST_S3_${name}`] ?? fallback;
    if (value === undefined) throw new Error(`Cannot use ${endpoint}: MANYBASE_TEST_S3_${name} is not set`);
    return value;
  };
  return {
    endpoint,
    region: variable("REGION", "us-east-1"),
    accessKeyId: variable("ACCESS_KEY_ID", process.env["AWS_ACCESS_KEY_ID"]),
    secretAccessKey: variable("SECRET_ACCESS_KEY", process.env["AWS_SECRET_ACCESS_KEY"]),
  };
}

function whyNoServer(): string | undefined {
  if (process.getuid?.() !== 0) return "Ceph needs root (or set MANYBASE_TEST_S3_ENDPOINT)";
  if (!cephInstalled()) return "Ceph is not installed; run: bun scripts/s3-server.ts install";
  return undefined;
}

async function running(directory: string, store: CephStore): Promise<ServerState> {
  const state = readState(directory);
  if (state?.store === store) {
    if (runningDaemons(directory).length === 3 && (await answers(state.endpoint))) return state;
    const remembers = store === "bluestore" || runningDaemons(directory).some(({ name }) => name === "osd.0");
    if (remembers) {
      await resumeCeph(directory, state);
      return state;
    }
  }
  await signalCeph(directory, "SIGKILL");
  return createCeph(directory, store);
}

async function startWatcher(directory: string, store: CephStore): Promise<void> {
  const pidFile = `${directory}.watcher`;
  const pid = Number(await readFile(pidFile, "utf8").catch(() => "0"));
  if (pid > 0 && isAlive(pid)) return;
  const script = join(import.meta.dir, "..", "s3-server.ts");
  const watcher = Bun.spawn([process.execPath, script, "watch", "--store", store], {
    stdio: ["ignore", "ignore", "ignore"],
    detached: true,
  });
  watcher.unref();
  await writeFile(pidFile, String(watcher.pid));
}

/** A lock that dies with its holder; beside the directory, which the holder may replace. */
async function exclusively<T>(directory: string, work: () => Promise<T>): Promise<T> {
  const lock = `${directory}.lock`;
  const owner = join(lock, "pid");
  await until("another start of the S3 server", LOCK_MS, async () => {
    const made = await mkdir(lock).then(
      () => true,
      () => false,
    );
    if (made) {
      await writeFile(owner, String(process.pid));
      return true;
    }
    const pid = Number(await readFile(owner, "utf8").catch(() => "0"));
    if (pid > 0 && !isAlive(pid)) await rm(lock, { recursive: true, force: true });
    return false;
  });
  try {
    return await work();
  } finally {
    await rm(lock, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const leasePath = (directory: string): string => `${directory}.lease`;
