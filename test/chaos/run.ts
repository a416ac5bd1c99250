import { join } from "node:path";
import { limits } from "../../shared/limits.ts";
import { helpText, parseOptions } from "../../shared/options.ts";
import { describeCoverage, describeFailure, runCampaign } from "../simulation/replication/campaign.ts";
import { killAll } from "../e2e/process.ts";
import { Random } from "../simulation/random.ts";
import { raftCampaign } from "../simulation/raft/campaign.ts";
import { describeManyTenants, runManyTenants } from "../simulation/raft/many-tenants.ts";
import { badInput } from "./bad-input.ts";
import { controlOutage } from "./control-outage.ts";
import { edgeCampaign } from "./edge.ts";
import { killCampaign, openS3, outageCampaign } from "./replication.ts";

const OPTIONS = {
  only: {
    value: "<part>",
    help: "simulation, raft-simulation, tenants, kills, outages, control, control-outage, edge or bad-input; all without it.",
  },
  seeds: { value: "<n>", default: "10000", help: "Seeds of the replication simulator." },
  "first-seed": { value: "<n>", default: "1000001", help: "The first of each simulator's." },
  "core-seeds": { value: "<n>", default: "10000", help: "Seeds of the raft core among simulated nodes." },
  "member-seeds": {
    value: "<n>",
    default: "1000",
    help: "Seeds of whole raft members on simulated disks and time.",
  },
  tenants: { value: "<n>", default: "1000000", help: "Of the simulated cluster whose memory is printed." },
  kills: { value: "<n>", default: "200", help: "Workers to kill: half on a file store, half on S3." },
  outages: { value: "<n>", default: "5", help: "Times to stop the object store." },
  "control-seconds": { value: "<n>", default: "60", help: "How long control is away in control-outage." },
  "edge-kills": {
    value: "<n>",
    default: "12",
    help: "Processes to kill under a client's load, per gateway runtime.",
  },
  rate: { value: "<n>", default: "500", help: "Requests a second of that load." },
  "bad-requests": { value: "<n>", default: "100000", help: "Bad requests per round and gateway runtime." },
  seed: { value: "<n>", default: "1", help: "For the order of kills and of control's faults." },
  engine: { value: "<name>", help: "Of control's part: raft, etcd or both." },
  runs: { value: "<n>", help: "Of control's part." },
  seconds: { value: "<n>", help: "Of each of control's runs." },
  parallel: { value: "<n>", help: "Of control's runs at a time." },
  members: { value: "<n>", help: "Of control's clusters." },
};
const CONTROL_OPTIONS = ["engine", "runs", "seconds", "members", "parallel", "seed"] as const;

const { values, help } = parseOptions(OPTIONS, process.argv.slice(2), process.env);
if (help) {
  process.stdout.write(helpText("npm run test:chaos -- [options]", "Long campaigns of faults.", OPTIONS));
  process.exit(0);
}
const number = (
  name:
    | "seeds"
    | "first-seed"
    | "core-seeds"
    | "member-seeds"
    | "tenants"
    | "kills"
    | "outages"
    | "seed"
    | "edge-kills"
    | "control-seconds"
    | "rate"
    | "bad-requests",
): number => Number(values[name]);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const failed: string[] = [];

/** Whoever says which of control's runs they want wants nothing else. */
const only =
  values.only ?? ((values.engine ?? values.runs ?? values.seconds ?? values.members) ? "control" : undefined);

async function part(name: string, work: () => Promise<boolean>): Promise<void> {
  if (only !== undefined && only !== name) return;
  say(`--- ${name}`);
  try {
    if (!(await work())) failed.push(name);
  } catch (error) {
    say(Bun.inspect(error));
    failed.push(name);
  } finally {
    await killAll();
  }
}

function judge(report: { violations: string[] }): boolean {
  say(Bun.inspect({ ...report, violations: report.violations.length }));
  for (const violation of report.violations) say(`VIOLATION: ${violation}`);
  return report.violations.length === 0;
}

await part("simulation", async () => {
  const outcome = await runCampaign(number("first-seed"), number("seeds"));
  say(describeCoverage(outcome));
  if (outcome.failure !== undefined) say(describeFailure(outcome.failure));
  return outcome.failure === undefined;
});

await part("raft-simulation", () =>
  raftCampaign(
    {
      firstSeed: number("first-seed"),
      coreSeeds: number("core-seeds"),
      memberSeeds: number("member-seeds"),
    },
    say,
  ),
);

/** What the collector takes for the machine's memory: beyond half of it, it lets garbage grow by a quarter of what lives, not to twice that. */
const COLLECTOR = { BUN_JSC_forceRAMSize: String(2 * 1024 ** 3) };

await part("tenants", async () => {
  const tenants = number("tenants");
  if (!Object.keys(COLLECTOR).every((name) => name in process.env)) {
    const again = ["--only", "tenants", "--tenants", String(tenants), "--seed", String(number("seed"))];
    const child = Bun.spawn([process.execPath, import.meta.path, ...again], {
      env: { ...process.env, ...COLLECTOR },
      stdio: ["ignore", "inherit", "inherit"],
    });
    return (await child.exited) === 0;
  }
  const startedMs = performance.now();
  const report = await runManyTenants({
    ...{ seed: number("seed"), tenants, keepEntries: Math.min(limits.raftKeepEntries, tenants / 1_000) },
    cadence: {
      entries: limits.raftSnapshotEvery,
      // Few tenants make little log: the member that was away must need a snapshot all the same.
      logBytes: Math.min(limits.raftSnapshotLogBytes, tenants * 100),
      stateShare: limits.raftSnapshotStateShare,
    },
    say: (line) => say(`${((performance.now() - startedMs) / 1_000).toFixed(0)} s: ${line}`),
  });
  say(describeManyTenants(report));
  return true;
});

const s3 = ["kills", "outages", undefined].includes(only) ? await openS3() : undefined;

await part("kills", async () => {
  const onS3 = s3 === undefined ? 0 : Math.floor(number("kills") / 2);
  say("on a file store");
  const file = judge(await killCampaign({}, number("kills") - onS3, number("seed"), say));
  if (s3 === undefined) return file;
  say("on S3");
  return judge(await killCampaign(s3.place(), onS3, number("seed") + 1, say)) && file;
});

await part("outages", async () => {
  if (s3 === undefined) return false;
  const report = await outageCampaign(s3, number("outages"));
  return judge(report) && report.refusedMeanwhile > 0;
});

await part("control", async () => {
  const given = CONTROL_OPTIONS.flatMap((name) => {
    const value = values[name];
    return value === undefined ? [] : [`--${name}`, value];
  });
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "control.ts"), ...given], {
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  return (await child.exited) === 0;
});

await part("control-outage", async () => judge(await controlOutage(number("control-seconds"))));

await part("edge", async () => {
  let good = true;
  for (const runtime of ["bun", "deno"] as const) {
    const options = { runtime, perSecond: number("rate"), kills: number("edge-kills"), pauseMs: 4_000 };
    good = judge(await edgeCampaign(options, new Random(number("seed")), say)) && good;
  }
  return good;
});

await part("bad-input", async () => {
  let good = true;
  for (const runtime of ["bun", "deno"] as const) {
    const options = { runtime, perRound: number("bad-requests"), rounds: 3, connections: 64 };
    good = judge(await badInput(options, say)) && good;
  }
  return good;
});

s3?.server.close();
say(failed.length === 0 ? "No promise was broken." : `Failed: ${failed.join(", ")}`);
process.exit(failed.length === 0 ? 0 : 1);
