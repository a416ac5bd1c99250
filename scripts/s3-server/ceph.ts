import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { type CephStore, cephConfig } from "./ceph-config.ts";

/** Everything that a client or a later start must know; kept as `server.json` in the server's directory. */
export interface ServerState {
  endpoint: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  store: CephStore;
  gatewayPort: number;
  monitorPort: number;
  fsid: string;
}

const DAEMONS = ["client.rgw", "osd.0", "mon.a"] as const;
const STORAGE_CLASSES = ["STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"];
const STEP_MS = 60_000;
const BINARIES = ["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "monmaptool"];

export const cephInstalled = (): boolean => BINARIES.every((name) => Bun.which(name) !== null);

/** Makes a cluster in an empty directory and starts it. */
export async function createCeph(directory: string, store: CephStore): Promise<ServerState> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(join(directory, "osd"), { recursive: true, mode: 0o700 });
  const [gatewayPort, monitorPort] = await freePorts();
  const state: ServerState = {
    endpoint: `http://127.0.0.1:${gatewayPort}`,
    region: "us-east-1",
    accessKeyId: "manybasetestkey",
    secretAccessKey: crypto.randomUUID(),
    fsid: crypto.randomUUID(),
    store,
    gatewayPort,
    monitorPort,
  };
  const ceph = commands(directory);
  await writeFile(join(directory, "ceph.conf"), cephConfig({ ...state, directory }));
  const map = join(directory, "monmap");
  const monitor = `[v2:127.0.0.1:${monitorPort}]`;
  await ceph("monmaptool", "--create", "--clobber", "--fsid", state.fsid, "--addv", "a", monitor, map);
  await ceph("ceph-mon", "--mkfs", "-i", "a", "--monmap", map);
  await startMonitor(ceph, state);
  const osd = crypto.randomUUID();
  await ceph("ceph", "osd", "new", osd);
  await ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd);
  await ceph("ceph", "osd", "crush", "add", "osd.0", "1.0", "host=localhost", "root=default");
  await ceph("ceph-osd", "-i", "0");
  // The first call makes the default zone, which the classes need.
  const user = ["--uid=test", "--display-name=test", `--access-key=${state.accessKeyId}`];
  await ceph("radosgw-admin", "user", "create", ...user, `--secret-key=${state.secretAccessKey}`);
  await addStorageClasses(ceph);
  await startGateway(ceph, state);
  await writeFile(statePath(directory), JSON.stringify(state), { mode: 0o600 });
  return state;
}

/** Starts what does not run of a cluster that was made before. */
export async function resumeCeph(directory: string, state: ServerState): Promise<void> {
  const ceph = commands(directory);
  if (daemonPid(directory, "mon.a") === undefined) await startMonitor(ceph, state);
  if (daemonPid(directory, "osd.0") === undefined) await ceph("ceph-osd", "-i", "0");
  if (daemonPid(directory, "client.rgw") === undefined) await startGateway(ceph, state);
}

export async function signalCeph(directory: string, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  for (const daemon of DAEMONS) {
    const pid = daemonPid(directory, daemon);
    if (pid === undefined) continue;
    // The gateway keeps nothing, and takes long to say goodbye.
    process.kill(pid, daemon === "client.rgw" ? "SIGKILL" : signal);
    await until(`${daemon} to end`, 20_000, async () => daemonPid(directory, daemon) === undefined);
  }
}

export function readState(directory: string): ServerState | undefined {
  if (!existsSync(statePath(directory))) return undefined;
  return JSON.parse(readFileSync(statePath(directory), "utf8")) as ServerState;
}

export const runningDaemons = (directory: string): { name: string; pid: number }[] =>
  DAEMONS.flatMap((name) => {
    const pid = daemonPid(directory, name);
    return pid === undefined ? [] : [{ name, pid }];
  });

export async function answers(endpoint: string): Promise<boolean> {
  return fetch(endpoint, { signal: AbortSignal.timeout(2_000) }).then(
    (response) => response.ok,
    () => false,
  );
}

export async function until(what: string, ms: number, test: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + ms;
  while (!(await test())) {
    if (Date.now() > end) throw new Error(`Cannot wait longer for ${what}: ${ms} ms are over`);
    await Bun.sleep(50);
  }
}

const statePath = (directory: string): string => join(directory, "server.json");

type Run = (...command: string[]) => Promise<string>;

/** Runs Ceph's tools on this cluster; the configuration's path in the arguments is how daemons are recognised. */
function commands(directory: string): Run {
  const config = join(directory, "ceph.conf");
  return async (program, ...parameters) => {
    const configured = program === "monmaptool" ? [] : ["--conf", config];
    const child = Bun.spawn([program ?? "", ...configured, ...parameters], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: Bun.file(join(directory, "commands.log")),
      env: { ...process.env, LC_ALL: "C", CEPH_CONF: config },
      timeout: STEP_MS,
    });
    const output = await new Response(child.stdout).text();
    if ((await child.exited) === 0) return output;
    throw new Error(`Cannot run ${program} ${parameters.join(" ")}: it ended with ${child.exitCode}`);
  };
}

async function startMonitor(ceph: Run, state: ServerState): Promise<void> {
  await ceph("ceph-mon", "-i", "a", "--public-addr", `v2:127.0.0.1:${state.monitorPort}`);
}

async function startGateway(ceph: Run, state: ServerState): Promise<void> {
  await ceph("radosgw", "-n", "client.rgw");
  await until("the S3 gateway", STEP_MS, () => answers(state.endpoint));
}

/** The gateway accepts only classes that its zone and zone group know. */
async function addStorageClasses(ceph: Run): Promise<void> {
  for (const name of STORAGE_CLASSES) {
    const place = ["--placement-id", "default-placement", "--storage-class", name];
    await ceph("radosgw-admin", "zonegroup", "placement", "add", "--rgw-zonegroup", "default", ...place);
    const pool = ["--data-pool", "default.rgw.buckets.data"];
    await ceph("radosgw-admin", "zone", "placement", "add", "--rgw-zone", "default", ...place, ...pool);
  }
}

function daemonPid(directory: string, daemon: string): number | undefined {
  const file = join(directory, `${daemon}.pid`);
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, "utf8").trim());
  try {
    // A number may have gone to another process since.
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`${directory}/`) ? pid : undefined;
  } catch {
    return undefined;
  }
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  const ports = servers.map(
    (server) =>
      new Promise<number>((resolve, reject) => {
        server.once("error", reject);
        server.listen(0, "127.0.0.1", () => {
          const address = server.address();
          if (typeof address === "object" && address !== null) resolve(address.port);
        });
      }),
  );
  const [first = 0, second = 0] = await Promise.all(ports);
  for (const server of servers) server.close();
  return [first, second];
}
