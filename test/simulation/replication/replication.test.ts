import { describe, expect, test } from "bun:test";
import { describeCoverage, describeFailure, runCampaign, runSeeds } from "./campaign.ts";
import { COUNTERS } from "./coverage.ts";
import { MUTATIONS } from "./mutations.ts";

const SEEDS = Number(process.env["SIMULATION_SEEDS"] ?? 1_000);
const FIRST = Number(process.env["SIMULATION_FIRST_SEED"] ?? 1);
/** Fewer may miss what is rare. */
const SEEDS_FOR_COVERAGE = 300;

describe("replication", () => {
  test(`${SEEDS} seeds of at least 2,000 steps and 5 faults lose nothing and expose nothing that is lost`, async () => {
    const outcome = await runCampaign(FIRST, SEEDS);
    if (outcome.failure !== undefined) throw new Error(describeFailure(outcome.failure));
    console.log(describeCoverage(outcome));
    expect(outcome.seeds).toBe(SEEDS);
    expect(outcome.steps).toBeGreaterThanOrEqual(SEEDS * 2_000);
    expect(outcome.faults).toBeGreaterThanOrEqual(SEEDS * 5);
    if (SEEDS < SEEDS_FOR_COVERAGE) return;
    // A storm that never does something proves nothing about it.
    for (const name of COUNTERS) expect([name, (outcome.counts[name] ?? 0) > 0]).toEqual([name, true]);
  }, 600_000);

  test("a seed gives the same trace each time, and another seed another one", async () => {
    const [once, again, other] = await Promise.all([runSeeds(7, 1), runSeeds(7, 1), runSeeds(8, 1)]);
    expect(once.traceHash).toMatch(/^[0-9a-f]{16}$/);
    expect(again).toEqual(once);
    expect(other.traceHash).not.toBe(once.traceHash);
  }, 60_000);
});

describe("the simulator notices", () => {
  for (const { name, seedsMax } of MUTATIONS) {
    test.concurrent(
      name,
      async () => {
        const { failure, seeds } = await runSeeds(1, seedsMax, name);
        // Not a seed that fails anyway.
        const without = failure === undefined ? undefined : await runSeeds(failure.seed, 1);
        expect([name, failure?.seed]).toEqual([name, seeds]);
        expect(without?.failure).toBeUndefined();
      },
      300_000,
    );
  }
});
