/** `npm run test:chaos -- --engine raft --runs 100`: real processes, killed, paused and cut off; every history must be linearizable. */
import { helpText, parseOptions } from "../../shared/options.ts";
import { Random } from "../simulation/random.ts";
import { FAULTS, type Faults, torment } from "./campaign.ts";
import { startEtcdTarget } from "./etcd-target.ts";
import { startRaft } from "./raft-target.ts";
import type { ChaosTarget } from "./target.ts";

const OPTIONS = {
  engine: { value: "<name>", default: "both", help: "raft, etcd or both." },
  runs: { value: "<n>", default: "10", help: "Per engine." },
  seed: { value: "<n>", default: "1", help: "Of the first run; decides on faults, not on their timing." },
  seconds: { value: "<n>", default: "8", help: "Of faults in a run." },
  parallel: {
    value: "<n>",
    default: "1",
    help: "Runs at a time: they mostly wait, and each has its own cluster.",
  },
  members: { value: "<n>", default: "3", help: "3 or 5." },
};

const { values, help } = parseOptions(OPTIONS, process.argv.slice(2), process.env);
if (help) {
  process.stdout.write(helpText("npm run test:chaos -- [options]", "Torments real clusters.", OPTIONS));
  process.exit(0);
}
const members = Number(values.members);
let failed = 0;
for (const engine of values.engine === "both" ? ["raft", "etcd"] : [values.engine ?? ""]) {
  const total: Faults = { kills: 0, pauses: 0, cuts: 0, hangs: 0 };
  const failovers: number[] = [];
  let events = 0;
  let next = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    while (next < Number(values.runs)) {
      const run = next++;
      const seed = Number(values.seed) + run;
      const target: ChaosTarget | { skip: string } =
        engine === "raft" ? await startRaft(members) : await startEtcdTarget(members);
      if ("skip" in target) process.exit(1);
      try {
        const outcome = await torment(target, new Random(seed), Number(values.seconds) * 1_000);
        for (const name of FAULTS) total[name] += outcome.faults[name];
        events += outcome.events;
        failovers.push(...outcome.failoversMs);
      } catch (error) {
        failed += 1;
        console.error(`${engine}, run ${run}, seed ${seed}:`, error);
      } finally {
        await target.close();
      }
      done++;
      if (done % 10 === 0) console.log(`${engine}: ${done} runs, ${failed} broken`);
    }
  };
  await Promise.all(Array.from({ length: Number(values.parallel) }, lane));
  failovers.sort((a, b) => a - b);
  const at = (share: number): string =>
    (failovers[Math.floor(share * (failovers.length - 1))] ?? 0).toFixed(0);
  console.log(
    `${engine}: ${done} runs, ${failed} broken promises in all, ${events} operations, ${JSON.stringify(total)}`,
  );
  console.log(
    `${engine}: ${failovers.length} failovers to the next write: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
  );
}
process.exit(failed === 0 ? 0 : 1);
