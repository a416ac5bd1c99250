/**
 * A child process of the simulation's tests: `bun run-seeds.ts <first> <count> [<mutation>]`. Ends at the first failure. With
 * SIMULATION_TRACE_LINES=100000 the trace of a failure is whole.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Outcome } from "./outcome.ts";
import { shrinkLimits } from "./small-limits.ts";

shrinkLimits();
const { World } = await import("./world.ts");
const { Coverage } = await import("./coverage.ts");
const { readStreamsAtOnce } = await import("./sim-store.ts");
const { settle } = await import("../virtual-clock.ts");

const [first = "1", count = "1", mutation = ""] = process.argv.slice(2);
readStreamsAtOnce();
let unhandled: unknown;
process.on("unhandledRejection", (error) => (unhandled ??= error));
const memory = "/dev/shm";
const directory = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), "manybase-simulation-"));
const coverage = new Coverage();
const outcome: Outcome = { seeds: 0, steps: 0, faults: 0, counts: coverage.counts, traceHash: "" };
try {
  for (let seed = Number(first); seed < Number(first) + Number(count); seed++) {
    const world = new World(seed, coverage, directory, {
      sealDeleted: mutation === "SEAL deleted with the log",
    });
    try {
      world.run();
      await settle();
      if (unhandled !== undefined)
        throw new Error("a promise was rejected and nobody looked", { cause: unhandled });
    } catch (error) {
      const trace = [...world.schedule.trace, ...world.records()];
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
