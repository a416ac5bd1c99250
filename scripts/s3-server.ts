import { defineCommand, runMain } from "citty";
import { cephInstalled, readState, runningDaemons } from "./s3-server/ceph.ts";
import type { CephStore } from "./s3-server/ceph-config.ts";
import { IDLE_MS, serverDirectory, startServer, stopServer, watchServer } from "./s3-server/server.ts";

export { ensureS3Server, stopS3Server } from "./s3-server/server.ts";

const COMMANDS = ["install", "start", "stop", "kill9", "status", "env", "watch"] as const;

const main = defineCommand({
  meta: {
    name: "s3-server",
    description: "A real S3 server (Ceph) on this machine, for tests and benchmarks",
  },
  args: {
    command: { type: "positional", description: COMMANDS.slice(0, -1).join(" | "), required: true },
    store: {
      type: "string",
      description: "memstore (fast, forgets) or bluestore (durable)",
      default: "memstore",
    },
    "idle-minutes": { type: "string", description: "stops by itself when no test used it for so long" },
  },
  async run({ args }) {
    if (args.store !== "memstore" && args.store !== "bluestore") {
      throw new Error(`Cannot use store ${args.store}: it is neither memstore nor bluestore`);
    }
    const idleMs = args["idle-minutes"] === undefined ? IDLE_MS : Number(args["idle-minutes"]) * 60_000;
    await run(args.command, args.store, idleMs);
  },
});

async function run(command: string, store: CephStore, idleMs: number): Promise<void> {
  switch (command) {
    case "install":
      return install();
    case "start": {
      const { endpoint } = await startServer(store, idleMs);
      return console.log(`S3 at ${endpoint}; keys: bun scripts/s3-server.ts env --store ${store}`);
    }
    case "stop":
      return stopServer(store, "SIGTERM");
    case "kill9":
      return stopServer(store, "SIGKILL");
    case "status": {
      const daemons = runningDaemons(serverDirectory(store));
      for (const { name, pid } of daemons) console.log(`${name} runs as process ${pid}`);
      if (daemons.length === 0) console.log("not running");
      return;
    }
    case "env":
      return printEnvironment(store);
    case "watch":
      return watchServer(store);
    default:
      throw new Error(`Cannot run ${command}: it is none of ${COMMANDS.join(", ")}`);
  }
}

/** Ceph from the distribution's own packages; they start nothing by themselves. */
async function install(): Promise<void> {
  if (cephInstalled()) return console.log("Ceph is installed");
  if (process.getuid?.() !== 0 || Bun.which("apt-get") === null) {
    throw new Error("Cannot install Ceph: it needs root on Debian or Ubuntu");
  }
  const packages = ["radosgw", "ceph-mon", "ceph-osd"];
  for (const parameters of [["update"], ["install", "--yes", "--no-install-recommends", ...packages]]) {
    const child = Bun.spawn(["apt-get", "-qq", ...parameters], {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      timeout: 10 * 60_000,
    });
    if ((await child.exited) !== 0) throw new Error(`Cannot install Ceph: apt-get ${parameters[0]} failed`);
  }
}

function printEnvironment(store: CephStore): void {
  const state = readState(serverDirectory(store));
  if (state === undefined) throw new Error("Cannot print the environment: the server was never started");
  const variables = {
    ENDPOINT: state.endpoint,
    REGION: state.region,
    ACCESS_KEY_ID: state.accessKeyId,
    SECRET_ACCESS_KEY: state.secretAccessKey,
  };
  for (const [name, value] of Object.entries(variables))
    console.log(`export MANYBASE_TEST_S3_${name}=${value}`);
}

if (import.meta.main) await runMain(main);
