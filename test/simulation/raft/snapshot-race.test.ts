import { expect, test } from "bun:test";
import type { Snapshot } from "../../../control/raft/core/types.ts";
import { SnapshotStore } from "../../../control/raft/log/snapshot-store.ts";
import { Random } from "../random.ts";
import { VirtualClock } from "../virtual-clock.ts";
import type { SimulatedDisk } from "./disk.ts";
import { during } from "./during.ts";
import { SimulatedMembers } from "./members.ts";

/** Of virtual time; without an answer a snapshot is sent again after 30 s. */
const SOON_MS = 5_000;

test("a snapshot that is replaced before it is read does not keep a member that needs one waiting", async () => {
  const clock = new VirtualClock();
  let leader = "";
  let beforeLoad: (() => Promise<void>) | undefined;
  let missed = 0;
  class LateSnapshots extends SnapshotStore {
    readonly #at: SimulatedDisk;

    constructor(disk: SimulatedDisk) {
      super(disk);
      this.#at = disk;
    }

    override async *load(snapshot: Snapshot): AsyncGenerator<Uint8Array, void, void> {
      if (leader !== "" && this.#at === members.disk(leader)) {
        const wait = beforeLoad;
        beforeLoad = undefined;
        await wait?.();
      }
      try {
        yield* super.load(snapshot);
      } catch (error) {
        missed += 1;
        throw error;
      }
    }
  }
  const members: SimulatedMembers = new SimulatedMembers(clock, new Random(1), {
    ...{ count: 3, snapshotEvery: 10, keepEntries: 1 },
    snapshots: (disk) => new LateSnapshots(disk),
  });
  await during(clock, members.found());
  for (const id of members.ids) await during(clock, members.start(id));
  clock.runUntil(clock.now() + 2_000);
  const away = members.ids.find((id) => !members.leads(id))!;
  leader = members.ids.find((id) => members.leads(id))!;
  let sequence = 0;
  const write = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const id = String(++sequence);
      await members.store(leader)!.txn({ id, cmp: [], then: [{ kind: "put", key: "k", value: id }] });
    }
  };
  members.crash(away);
  await during(clock, write(30));
  beforeLoad = () => write(30);
  await during(clock, members.restart(away));
  const endMs = clock.now() + SOON_MS;
  const value = async (): Promise<unknown> => (await members.store(away)!.get("k", { stale: true }))?.value;
  while (clock.now() < endMs && (await value()) !== String(sequence)) clock.runUntil(clock.now() + 50);
  expect(missed).toBe(1);
  expect(await value()).toBe(String(sequence));
});
