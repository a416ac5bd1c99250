import { expect, test } from "bun:test";
import type { Entry, Snapshot } from "../../../control/raft/core/types.ts";
import type { Batch } from "../../../control/raft/log/batch.ts";
import { LogStore } from "../../../control/raft/log/log-store.ts";
import { applyBatch, type Durable } from "../../../control/raft/log/recover.ts";
import { Random } from "../random.ts";
import { PowerCut, SimulatedDisk } from "./disk.ts";

const SEEDS = 300;
const SEGMENT_BYTES = 2_000;
const FOUNDING: Snapshot = {
  index: 0,
  term: 0,
  membership: { voters: ["1"], learners: [] },
  data: new Uint8Array(),
};

/** What must be there after a power cut: everything acknowledged, or that and the one write under way as a whole. */
class Model {
  durable: Durable = { hardState: { term: 0, vote: null, commit: 0 }, snapshot: FOUNDING, entries: [] };
  next: Durable = this.durable;

  /** Where the log may go on from here. */
  plan(random: Random): Batch {
    const { hardState, snapshot, entries } = this.durable;
    const last = entries.at(-1)?.index ?? snapshot.index;
    const dice = random.next();
    if (dice < 0.1 && last > snapshot.index + 3) {
      const taken = {
        ...snapshot,
        index: last - 2,
        term: hardState.term,
        data: new Uint8Array([last % 256]),
      };
      return {
        snapshot: { snapshot: taken, replacesLog: false },
        hardState: { ...hardState, commit: last - 2 },
      };
    }
    if (dice < 0.15) {
      const sent = { ...snapshot, index: last + 10, term: hardState.term, data: new Uint8Array([7]) };
      return {
        snapshot: { snapshot: sent, replacesLog: true },
        hardState: { ...hardState, commit: last + 10 },
      };
    }
    const term = hardState.term + (random.chance(0.1) ? 1 : 0);
    // Now and then a new leader replaces what was not committed.
    const first = term > hardState.term ? Math.max(hardState.commit, snapshot.index, last - 2) + 1 : last + 1;
    const added = Array.from({ length: 1 + random.below(3) }, (_, i): Entry => {
      return { index: first + i, term, kind: "data", data: new Uint8Array(random.below(900)).fill(first) };
    });
    if (term === hardState.term && random.chance(0.4)) return { entries: added };
    return { hardState: { term, vote: "1", commit: Math.max(hardState.commit, first - 1) }, entries: added };
  }

  begin(batch: Batch): void {
    this.next = { ...this.durable, entries: [...this.durable.entries] };
    applyBatch(this.next, batch);
  }

  acknowledged(): void {
    this.durable = this.next;
  }

  /** The state found is one of the two; it is what counts from now on. */
  found(durable: Durable): void {
    const seen = meaning(durable);
    expect([meaning(this.durable), meaning(this.next)]).toContainEqual(seen);
    this.durable = { hardState: durable.hardState, snapshot: durable.snapshot, entries: durable.entries };
    this.next = this.durable;
  }
}

/** Entries that the snapshot covers may be there or not. */
function meaning({ hardState, snapshot, entries }: Durable): unknown {
  const kept = entries.filter((entry) => entry.index > snapshot.index);
  return [
    hardState,
    snapshot.index,
    kept.map((entry) => [entry.index, entry.term, "data" in entry && entry.data.length]),
  ];
}

test(`LogStore: ${SEEDS} seeds of power cuts lose nothing that was acknowledged`, async () => {
  let cuts = 0;
  let compactions = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new Random(seed);
    const disk = new SimulatedDisk(random);
    const identity = { clusterId: "c", memberId: "1" };
    await (await LogStore.create(disk, identity, FOUNDING, SEGMENT_BYTES)).close();
    const model = new Model();
    for (let life = 0; life < 6; life++) {
      disk.cutAt(2 + random.below(60));
      try {
        const { log, durable } = await LogStore.open(disk, SEGMENT_BYTES);
        model.found(durable);
        for (let i = 0; i < 40; i++) {
          const batch = model.plan(random);
          model.begin(batch);
          await log.append(batch);
          model.acknowledged();
          if (random.chance(0.2)) {
            const before = (await disk.list()).length;
            await log.compact(model.durable.snapshot.index);
            if ((await disk.list()).length < before) compactions += 1;
          }
        }
      } catch (error) {
        const cut = error instanceof PowerCut || (error instanceof Error && error.cause instanceof PowerCut);
        if (!cut) throw new Error(`seed ${seed} failed`, { cause: error });
        cuts += 1;
      }
      disk.restart();
    }
    const { durable } = await LogStore.open(disk, SEGMENT_BYTES);
    model.found(durable);
  }
  expect(cuts).toBeGreaterThan(SEEDS);
  expect(compactions).toBeGreaterThan(SEEDS / 4);
}, 60_000);

for (const [code, expected] of [
  ["EIO", { code: "internal", message: "Cannot append to log: the disk did not confirm the write" }],
  ["ENOSPC", { code: "disk_full", message: "Cannot append to log: the disk is full" }],
] as const) {
  test(`LogStore: after a sync failed with ${code} nothing is written any more`, async () => {
    const disk = new SimulatedDisk(new Random(1));
    const log = await LogStore.create(disk, { clusterId: "c", memberId: "1" }, FOUNDING);
    disk.failSync = code;
    const batch: Batch = { entries: [{ index: 1, term: 1, kind: "noop" }] };
    const first = await log.append(batch).catch((error: unknown) => error);
    disk.failSync = undefined;
    const { operations } = disk;
    const second = await log.append(batch).catch((error: unknown) => error);
    expect(first).toMatchObject(expected);
    expect(second).toBe(first);
    expect(disk.operations).toBe(operations);
  });
}

test("LogStore: a batch larger than a record comes back whole", async () => {
  const disk = new SimulatedDisk(new Random(1));
  const log = await LogStore.create(disk, { clusterId: "c", memberId: "1" }, FOUNDING);
  const entries = Array.from({ length: 7 }, (_, i): Entry => {
    return { index: i + 1, term: 1, kind: "data", data: new Uint8Array(3_000_000).fill(i + 1) };
  });
  await log.append({ hardState: { term: 1, vote: "1", commit: 0 }, entries });
  await log.close();
  const { durable } = await LogStore.open(disk);
  expect(durable.hardState.term).toBe(1);
  expect(durable.entries.map((entry) => entry.index)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(disk.operations).toBeGreaterThan(10);
});
