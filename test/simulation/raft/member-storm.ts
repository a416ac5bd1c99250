import type { ReplicatedStore, TxnResult } from "../../../control/store/contract.ts";
import type { Revision } from "../../../shared/ids.ts";
import { checkLinearizable } from "../linearizability/check.ts";
import { History } from "../linearizability/history.ts";
import { RecordingClient } from "../linearizability/recording-client.ts";
import { limits } from "../../../shared/limits.ts";
import { Random } from "../random.ts";
import { VirtualClock } from "../virtual-clock.ts";
import { during } from "./during.ts";
import { SimulatedMembers } from "./members.ts";

const STORM_MS = 10_000;
const CALM_MS = 3_000;
/** The core sends a lost snapshot again after so long; whoever asks the member that waits for it is refused meanwhile, and asks again. */
const RESENT_MS = limits.raftSnapshotTicks * limits.raftTickMs;
const PATIENCE_MS = RESENT_MS + 2 * limits.controlRequestMs;
const KEYS = ["x", "y"];
const CLIENTS = 4;
const REGISTERS = ["r/1", "r/2", "r/3"];
const RECORDERS = 3;
const PAUSE_MS = 40;
const GUEST = "guest";

export const TALLIES = [
  "added",
  "conflicts",
  "retries",
  "reads",
  "crashes",
  "partitions",
  "transfers",
  "admissions",
  "removals",
  "recorded",
  "snapshots",
] as const;
export type Tally = Record<(typeof TALLIES)[number], number>;

export function newTally(): Tally {
  return Object.fromEntries(TALLIES.map((name) => [name, 0])) as Tally;
}

interface ClientParts {
  name: string;
  members: SimulatedMembers;
  random: Random;
  pause: () => Promise<void>;
  /** Acknowledged additions by key, of all clients. */
  sums: Map<string, number>;
  tally: Tally;
}

/** Adds to counters by compare-and-set: if a txn is lost, applied twice or compared to something stale, the sum is wrong. */
class Client {
  readonly #parts: ClientParts;
  #sequence = 0;
  stopped = false;

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  async run(): Promise<void> {
    while (!this.stopped) {
      await this.#add(this.#parts.random.pick(KEYS));
      await this.#parts.pause();
    }
  }

  async #add(key: string): Promise<void> {
    const { name, sums, tally } = this.#parts;
    const before = sums.get(key)!;
    const row = await this.#insist(async (store) => (await store.get(key)) ?? null);
    if (row === undefined) return;
    const value = row === null ? 0 : (row.value as number);
    // A read asked after an acknowledged txn sees it, whichever member answers.
    if (value < before)
      throw new Error(`${key} is ${value}, but ${before} additions were acknowledged before`);
    tally.reads += 1;
    const id = `${name}-${this.#sequence++}`;
    const cmp = [{ key, modRev: (row?.modRev ?? 0) as Revision }];
    const then = [{ kind: "put", key, value: value + 1 } as const];
    const result = await this.#insist<TxnResult>((store) => store.txn({ id, cmp, then }));
    if (result === undefined) return;
    if (!result.ok) tally.conflicts += 1;
    else {
      tally.added += 1;
      sums.set(key, sums.get(key)! + 1);
    }
  }

  /** Retries at any member, with the same id, until there is an answer. */
  async #insist<T>(attempt: (store: ReplicatedStore) => Promise<T>): Promise<T | undefined> {
    const { members, random, pause, tally } = this.#parts;
    for (;;) {
      const store = members.store(random.pick(members.ids));
      try {
        if (store !== undefined) return await attempt(store);
      } catch (error) {
        const { code } = error as { code?: unknown };
        // A member that was cut from power in the middle answers with that; to a client its connection broke.
        if (code !== "control_no_leader" && code !== "control_state_unknown" && code !== "internal")
          throw error;
        tally.retries += 1;
      }
      if (this.stopped && store === undefined) return undefined;
      await pause();
    }
  }
}

/** One storm over three members, the calm after it, and what all of them hold then. @throws when anything was lost, doubled or hidden */
export async function stormMembers(seed: number, tally: Tally): Promise<void> {
  const random = new Random(seed);
  const clock = new VirtualClock();
  const members = new SimulatedMembers(clock, random, {
    ...{ count: 3, snapshotEvery: 40, keepEntries: 20, diskDelayMs: 3 },
  });
  const inTime = (work: Promise<unknown>): Promise<unknown> => during(clock, work, PATIENCE_MS);
  await inTime(members.found());
  for (const id of members.ids) await inTime(members.start(id));
  let broken: unknown;
  const fails = (error: unknown): void => void (broken ??= error);
  const pause = (): Promise<void> =>
    new Promise((resolve) => void clock.after(random.next() * PAUSE_MS, resolve));
  const sums = new Map(KEYS.map((key) => [key, 0]));
  const clients = Array.from(
    { length: CLIENTS },
    (_, i) => new Client({ name: `c${i}`, members, random, pause, sums, tally }),
  );
  let moment = 0;
  const history = new History(() => ++moment);
  let recording = true;
  const recorders = Array.from({ length: RECORDERS }, (_, i) => {
    return new RecordingClient({
      name: `r${i}`,
      keys: REGISTERS,
      history,
      random,
      target: () => members.store(random.pick(members.ids)),
      pause,
      stopped: () => !recording,
    });
  });
  const running = [...clients, ...recorders].map((client) => client.run().catch(fails));
  members.network.faults = { lossRate: 0.05, doubleRate: 0.05, delayMsMax: 30 };
  const stormEnd = clock.now() + STORM_MS;
  const down = new Set<string>();
  while (clock.now() < stormEnd && broken === undefined) {
    clock.runUntil(clock.now() + 50 + random.below(450));
    const id = random.pick(members.ids);
    const dice = random.next();
    if (dice < 0.25 && down.size < 2) {
      members.crash(id);
      down.add(id);
      tally.crashes += 1;
    } else if (dice < 0.55) {
      for (const other of down) await inTime(members.restart(other));
      down.clear();
    } else if (dice < 0.65) {
      const leader = members.ids.find((other) => members.leads(other));
      if (leader === undefined) continue;
      const asked = members.store(leader)?.transferLeader(id);
      asked?.then(
        () => (tally.transfers += 1),
        () => undefined,
      );
    } else if (dice < 0.75) {
      const leader = members.ids.find((other) => members.leads(other));
      if (leader === undefined) continue;
      void changeGuest(members.store(leader)!, `g${clock.now()}`, tally).catch(() => undefined);
    } else if (dice < 0.88) {
      for (const other of members.ids) {
        if (random.chance(0.7)) members.network.cut(id, other);
        if (random.chance(0.7)) members.network.cut(other, id);
      }
      tally.partitions += 1;
    } else members.network.join();
  }
  members.network.join();
  members.network.faults = { lossRate: 0, doubleRate: 0, delayMsMax: 2 };
  for (const id of down) await inTime(members.restart(id));
  const beforeCalm = tally.added;
  clock.runUntil(clock.now() + CALM_MS);
  for (const client of clients) client.stopped = true;
  recording = false;
  await inTime(Promise.all(running));
  tally.recorded += history.events.length;
  tally.snapshots += members.network.snapshots;
  const verdict = checkLinearizable(history.events);
  if (!verdict.linearizable) throw new Error(`not linearizable: ${JSON.stringify(verdict)}`);
  if (broken !== undefined) throw broken;
  if (members.failures.length > 0)
    throw new Error("a member stopped by itself", { cause: members.failures[0] });
  if (tally.added === beforeCalm) throw new Error("no progress after all faults had ended");
  // Links offer their snapshots anew as soon as they stand; this network just loses them.
  const caughtUpBy = clock.now() + RESENT_MS + CALM_MS;
  const revisions = () => new Set(members.ids.map((id) => members.replica(id)?.machine.revision));
  while (revisions().size > 1 && clock.now() < caughtUpBy) clock.runUntil(clock.now() + limits.raftTickMs);
  for (const id of members.ids) {
    for (const key of KEYS) {
      let value: unknown;
      await inTime(
        members
          .store(id)!
          .get(key)
          .then((row) => (value = row?.value ?? 0)),
      );
      if (value !== sums.get(key))
        throw new Error(`${id} says ${key} is ${String(value)}, not ${sums.get(key)}`);
    }
  }
  for (const id of members.ids) {
    const store = members.store(id)!;
    const row = await store.get(GUEST, { stale: true });
    const isThere = (await store.members()).some((member) => member.id === GUEST);
    // What was told together with a change of members is there if and only if the change is.
    if ((row?.value ?? "gone") !== (isThere ? "there" : "gone"))
      throw new Error(
        `${id} says that ${GUEST} is ${String(row?.value)}, and it is ${isThere ? "there" : "gone"}`,
      );
    await inTime(store.close());
  }
}

/** Admits a learner that never comes, or removes it, and writes that down in the same entry of the log. */
async function changeGuest(store: ReplicatedStore, id: string, tally: Tally): Promise<void> {
  const isThere = (await store.members()).some((member) => member.id === GUEST);
  const then = [{ kind: "put", key: GUEST, value: isThere ? "gone" : "there" } as const];
  if (isThere) await store.changeMembers({ kind: "remove", id: GUEST }, { id, then });
  else await store.changeMembers({ kind: "add", id: GUEST, url: "http://guest" }, { id, then });
  tally[isThere ? "removals" : "admissions"] += 1;
}
