import { expect, test } from "bun:test";
import { newTally, stormMembers } from "./member-storm.ts";

const SEEDS = Number(process.env["SIMULATION_SEEDS"] ?? 60);
const FIRST = Number(process.env["SIMULATION_FIRST_SEED"] ?? 1);

test(`raft members: ${SEEDS} seeds of crashes, partitions and slow disks lose, double and hide no txn`, async () => {
  const tally = newTally();
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    try {
      await stormMembers(seed, tally);
    } catch (cause) {
      throw new Error(`seed ${seed} failed: SIMULATION_SEEDS=1 SIMULATION_FIRST_SEED=${seed} runs it alone`, {
        cause,
      });
    }
  }
  console.log(`raft members, ${SEEDS} seeds:`, tally);
  // A storm that never does something proves nothing about it.
  for (const [name, count] of Object.entries(tally)) expect([name, count > 0]).toEqual([name, true]);
}, 300_000);
