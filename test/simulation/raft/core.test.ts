import { expect, test } from "bun:test";
import { newCoverage, runSeed } from "./run-seed.ts";

const SEEDS = Number(process.env["SIMULATION_SEEDS"] ?? 1_000);
const FIRST = Number(process.env["SIMULATION_FIRST_SEED"] ?? 1);
const STEPS = 2_500;

test(`raft core: ${SEEDS} seeds of ${STEPS} steps break no invariant and end in agreement`, () => {
  const coverage = newCoverage();
  let committed = 0;
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    try {
      committed += runSeed(seed, STEPS, coverage);
    } catch (cause) {
      throw new Error(`seed ${seed} failed: SIMULATION_SEEDS=1 SIMULATION_FIRST_SEED=${seed} runs it alone`, {
        cause,
      });
    }
  }
  console.log(`raft core, ${SEEDS} seeds, ${committed} entries committed:`, coverage);
  // A storm that never does something proves nothing about it.
  for (const [name, count] of Object.entries(coverage)) expect([name, count > 0]).toEqual([name, true]);
  expect(committed).toBeGreaterThan(SEEDS * 10);
}, 300_000);
