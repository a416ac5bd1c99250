/** A child process of the simulation's tests: `bun run-seeds.ts <first> <count> <defect or ->`, one line of JSON at the end. */
import { mkdtempSync, rmSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { shrinkLimits } from "./small-limits.ts";

shrinkLimits();
const { World } = await import("./world.ts");
const { Coverage } = await import("./coverage.ts");
const { readStreamsAtOnce } = await import("./sim-store.ts");
const { settle } = await import("../virtual-clock.ts");

export interface Outcome {
  seeds: number;
  steps: number;
  faults: number;
  counts: Record<string, number>;
  /** Of the last seed. */
  traceHash: string;
  failure: { seed: number; message: string; trace: readonly string[] } | undefined;
}

const [first = "1", count = "1", defect = "-"] = process.argv.slice(2);
readStreamsAtOnce();
let unhandled: unknown;
process.on("unhandledRejection", (error) => (unhandled ??= error));
const directory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "manybase-simulation-"));
const coverage = new Coverage();
const outcome: Outcome = { seeds: 0, steps: 0, faults: 0, counts: coverage.counts, traceHash: "", failure: undefined };
try {
  for (let seed = Number(first); seed < Number(first) + Number(count); seed++) {
    const world = new World(seed, coverage, directory, { sealDeleted: defect === "seal deleted" });
    try {
      world.run();
      await settle();
      if (unhandled !== undefined) throw new Error("a promise was rejected and nobody looked", { cause: unhandled });
    } catch (error) {
      const { schedule } = world;
      const trace = [...schedule.trace, ...world.records()];
      outcome.failure = { seed, message: Bun.inspect(error), trace };
    }
    outcome.seeds++;
    outcome.steps += world.schedule.steps;
    outcome.faults += world.faults;
    outcome.traceHash = world.schedule.traceHash;
    if (outcome.failure !== undefined) break;
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
process.stdout.write(`${JSON.stringify(outcome)}\n`);
process.exit(0);
