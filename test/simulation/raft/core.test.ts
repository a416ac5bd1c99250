import { expect, test } from "bun:test";
import { COUNTERS, type Coverage, SimulatedCluster } from "./cluster.ts";

const SEEDS = Number(process.env["SIMULATION_SEEDS"] ?? 200);
const FIRST = Number(process.env["SIMULATION_FIRST_SEED"] ?? 1);
const STEPS = 5_000;

test(`raft core: ${SEEDS} seeds of ${STEPS} steps break no invariant and end in agreement`, () => {
  const coverage = Object.fromEntries(COUNTERS.map((name) => [name, 0])) as Coverage;
  let committed = 0;
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    try {
      const cluster = new SimulatedCluster(seed, coverage);
      for (let step = 0; step < STEPS; step++) cluster.step();
      cluster.heal();
      committed += cluster.invariants.committedIndex;
    } catch (cause) {
      throw new Error(`seed ${seed} failed: SIMULATION_SEEDS=1 SIMULATION_FIRST_SEED=${seed} runs it alone`, {
        cause,
      });
    }
  }
  // A storm that never does something proves nothing about it.
  for (const [name, count] of Object.entries(coverage)) expect([name, count > 0]).toEqual([name, true]);
  expect(committed).toBeGreaterThan(SEEDS * 20);
}, 120_000);
