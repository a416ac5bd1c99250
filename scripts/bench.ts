import { join } from "node:path";

/** What `npm run bench` runs, in this order, and what each tells. All print ratios against a baseline of the same run. */
const BENCHMARKS: Readonly<Record<string, string>> = {
  ltx: "encoding and decoding LTX files, with the native LZ4 and with ours",
  commit: "a commit with capture, encoding and log, against a bare bun:sqlite commit",
  filter: "a filter that becomes SQL, against the SQL written by hand",
  records: "the records API over HTTP, against prepared statements and a bare server",
  pocketbase: "the records API, against a PocketBase binary whose path is the argument",
  realtime: "events to many subscribers",
  hostile: "what endless statements of one tenant do to another",
  "open-tenants": "many open tenants: memory, descriptors, openings, timers, requests",
  restore: "a tenant restored from the object store",
  fleet: "commits of many tenants against a store with the latencies of S3",
  moves: "moves and drains under load",
  control: "writes of control, against etcd",
  "control-scale": "control with 100,000 tenants and a million",
  "leader-failover": "how long writes of control wait when a leader dies",
  gateway: "the gateway, against nginx",
  "gateway-routes": "route lookups",
  "gateway-streams": "idle event streams through a gateway",
};

const HELP = `npm run bench [-- <name> [arguments of that one]]

Runs one benchmark, or all of them one after the other (an hour on a quiet machine).

${Object.entries(BENCHMARKS)
  .map(([name, about]) => `  ${name.padEnd(16)} ${about}`)
  .join("\n")}
`;

const [wanted, ...rest] = process.argv.slice(2);
if (wanted === "--help" || wanted === "-h") {
  process.stdout.write(HELP);
} else if (wanted !== undefined && !Object.hasOwn(BENCHMARKS, wanted)) {
  process.stderr.write(`Cannot run benchmark ${wanted}: there is none of that name\n\n${HELP}`);
  process.exitCode = 1;
} else {
  const failed: string[] = [];
  for (const name of wanted === undefined ? Object.keys(BENCHMARKS) : [wanted]) {
    process.stdout.write(`--- ${name}\n`);
    const script = join(import.meta.dir, "..", "test", "bench", `${name}.ts`);
    const child = Bun.spawn([process.execPath, script, ...rest], {
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
    });
    if ((await child.exited) !== 0) failed.push(name);
  }
  if (failed.length > 0) process.stderr.write(`Failed: ${failed.join(", ")}\n`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
