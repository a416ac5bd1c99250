import { expect, test } from "bun:test";
import { Random } from "../random.ts";
import { VirtualClock } from "../virtual-clock.ts";
import { during } from "./during.ts";
import { SimulatedMembers, type SimulatedMembersOptions } from "./members.ts";

/** Three members, one of which is away; what the leader's snapshots are. */
async function open(options: Omit<SimulatedMembersOptions, "count">) {
  const clock = new VirtualClock();
  const members = new SimulatedMembers(clock, new Random(1), { count: 3, ...options });
  await during(clock, members.found());
  for (const id of members.ids) await during(clock, members.start(id));
  clock.runUntil(clock.now() + 2_000);
  const leader = members.ids.find((id) => members.leads(id))!;
  const away = members.ids.find((id) => id !== leader)!;
  members.crash(away);
  let sequence = 0;
  const seen = new Set<string>();
  return {
    members,
    clock,
    away,
    /** @returns how many snapshots the leader took meanwhile */
    async write(count: number, value: string, key = (i: number) => `k${i}`): Promise<number> {
      const before = seen.size;
      for (let i = 0; i < count; i++) {
        const id = String(++sequence);
        const txn = { id, cmp: [], then: [{ kind: "put" as const, key: key(i), value }] };
        await during(clock, members.store(leader)!.txn(txn));
        clock.runUntil(clock.now() + 20);
        for (const name of await during(clock, members.disk(leader).list()))
          if (name.startsWith("snapshot-") && !name.endsWith(".tmp")) seen.add(name);
      }
      return seen.size - before;
    },
    /** @returns how many snapshots were sent to it */
    async comeBack(): Promise<number> {
      await during(clock, members.restart(away));
      clock.runUntil(clock.now() + 5_000);
      expect((await members.store(away)!.health()).rev).toBe((await members.store(leader)!.health()).rev);
      return members.network.snapshots;
    },
  };
}

const LARGE = "x".repeat(2_000);

test("few large entries make a snapshot due, and few of them are kept behind it", async () => {
  const group = await open({
    ...{ snapshotEvery: 1_000, keepEntries: 1_000, keepBytes: 10_000 },
    cadence: { logBytes: 50_000, stateShare: 0 },
  });
  expect(await group.write(60, LARGE)).toBe(2);
  expect(await group.comeBack()).toBe(1);
});

test("a member that is not far behind gets the log, not the state", async () => {
  const group = await open({
    ...{ snapshotEvery: 1_000, keepEntries: 1_000, keepBytes: 1_000_000 },
    cadence: { logBytes: 50_000, stateShare: 0 },
  });
  expect(await group.write(60, LARGE)).toBe(2);
  expect(await group.comeBack()).toBe(0);
});

test("a large state is not written again for a few changes, also not after a restart", async () => {
  const group = await open({ snapshotEvery: 10, cadence: { logBytes: 1_000_000, stateShare: 0.5 } });
  // 200 KB; each snapshot half as large again as the one before.
  const growing = await group.write(100, LARGE);
  expect(growing).toBeGreaterThan(3);
  expect(growing).toBeLessThan(9);
  expect(await group.write(60, "small", () => "one")).toBeLessThanOrEqual(1);
  expect(await group.write(60, "small", () => "one")).toBe(0);
});
