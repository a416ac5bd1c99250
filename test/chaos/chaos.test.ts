/** A short form of `npm run test:chaos`. */
import { expect, test } from "bun:test";
import { Random } from "../simulation/random.ts";
import { torment } from "./campaign.ts";
import { startEtcdTarget } from "./etcd-target.ts";
import { startRaft } from "./raft-target.ts";
import type { ChaosTarget } from "./target.ts";

const SECONDS = 6;

async function once(target: ChaosTarget | { skip: string }, seed: number): Promise<void> {
  if ("skip" in target) return;
  try {
    const { events, faults } = await torment(target, new Random(seed), SECONDS * 1_000);
    expect(events).toBeGreaterThan(200);
    expect(Object.values(faults).reduce((a, b) => a + b)).toBeGreaterThan(2);
  } finally {
    await target.close();
  }
}

for (const seed of [1, 2]) {
  test(`raft: processes killed, paused and cut off stay linearizable, seed ${seed}`, async () => {
    await once(await startRaft(3), seed);
  }, 120_000);
}

test("etcd: the engine over servers killed, paused and cut off stays linearizable", async () => {
  await once(await startEtcdTarget(3), 3);
}, 120_000);
