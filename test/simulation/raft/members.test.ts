import { expect, test } from "bun:test";
import type { ReplicatedStore, TxnResult } from "../../../control/store/contract.ts";
import type { Revision } from "../../../shared/ids.ts";
import { checkLinearizable } from "../linearizability/check.ts";
import { History } from "../linearizability/history.ts";
import { RecordingClient } from "../linearizability/recording-client.ts";
import { Random } from "../random.ts";
import { settle, VirtualClock } from "../virtual-clock.ts";
import { SimulatedMembers } from "./members.ts";

const SEEDS = Number(process.env["SIMULATION_SEEDS"] ?? 10);
const FIRST = Number(process.env["SIMULATION_FIRST_SEED"] ?? 1);
const STORM_MS = 20_000;
const CALM_MS = 15_000;
const KEYS = ["x", "y"];
const CLIENTS = 4;
const REGISTERS = ["r/1", "r/2", "r/3"];
const RECORDERS = 3;

interface Tally {
  added: number;
  conflicts: number;
  retries: number;
  reads: number;
  crashes: number;
  partitions: number;
  recorded: number;
}

/** Adds to counters by compare-and-set: if a txn is lost, applied twice or compared to something stale, the sum is wrong. */
class Client {
  readonly #members: SimulatedMembers;
  readonly #random: Random;
  readonly #sums: Map<string, number>;
  readonly #tally: Tally;
  readonly #name: string;
  #sequence = 0;
  stopped = false;

  constructor(
    name: string,
    members: SimulatedMembers,
    random: Random,
    sums: Map<string, number>,
    tally: Tally,
  ) {
    this.#name = name;
    this.#members = members;
    this.#random = random;
    this.#sums = sums;
    this.#tally = tally;
  }

  async run(): Promise<void> {
    while (!this.stopped) await this.#add(this.#random.pick(KEYS));
  }

  async #add(key: string): Promise<void> {
    const before = this.#sums.get(key)!;
    const row = await this.#insist(async (store) => (await store.get(key)) ?? null);
    if (row === undefined) return;
    const value = row === null ? 0 : (row.value as number);
    // A read asked after an acknowledged txn sees it, whichever member answers.
    if (value < before)
      throw new Error(`${key} is ${value}, but ${before} additions were acknowledged before`);
    this.#tally.reads += 1;
    const id = `${this.#name}-${this.#sequence++}`;
    const cmp = [{ key, modRev: (row?.modRev ?? 0) as Revision }];
    const then = [{ kind: "put", key, value: value + 1 } as const];
    const result = await this.#insist<TxnResult>((store) => store.txn({ id, cmp, then }));
    if (result === undefined) return;
    if (!result.ok) this.#tally.conflicts += 1;
    else {
      this.#tally.added += 1;
      this.#sums.set(key, this.#sums.get(key)! + 1);
    }
  }

  /** Retries at any member, with the same id, until there is an answer. */
  async #insist<T>(attempt: (store: ReplicatedStore) => Promise<T>): Promise<T | undefined> {
    for (;;) {
      const store = this.#members.store(this.#random.pick(this.#members.ids));
      try {
        if (store !== undefined) return await attempt(store);
      } catch (error) {
        const { code } = error as { code?: unknown };
        // A member that was cut from power in the middle answers with that; to a client its connection broke.
        if (code !== "control_no_leader" && code !== "control_state_unknown" && code !== "internal")
          throw error;
        this.#tally.retries += 1;
      }
      if (this.stopped && store === undefined) return undefined;
      await settle();
    }
  }
}

async function storm(seed: number, tally: Tally): Promise<void> {
  const random = new Random(seed);
  const clock = new VirtualClock();
  const members = new SimulatedMembers(clock, random, 3, 40, 3);
  const during = async (work: Promise<unknown>): Promise<void> => {
    let done = false;
    const finished = work.finally(() => {
      done = true;
    });
    for (let i = 0; !done && i < 10_000; i++) {
      await clock.runUntil(clock.now() + 1);
      await settle();
    }
    await finished;
  };
  await during(members.found());
  for (const id of members.ids) await during(members.start(id));
  const sums = new Map(KEYS.map((key) => [key, 0]));
  const clients = Array.from(
    { length: CLIENTS },
    (_, i) => new Client(`c${i}`, members, random, sums, tally),
  );
  let broken: unknown;
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
      pause: () => new Promise((resolve) => void clock.after(random.next() * 20, resolve)),
      stopped: () => !recording,
    });
  });
  const recordings = recorders.map((client) => client.run().catch((error: unknown) => (broken ??= error)));
  const running = clients.map((client) => client.run().catch((error: unknown) => (broken ??= error)));
  members.network.faults = { lossRate: 0.05, doubleRate: 0.05, delayMsMax: 30 };
  const stormEnd = clock.now() + STORM_MS;
  const down = new Set<string>();
  while (clock.now() < stormEnd && broken === undefined) {
    await clock.runUntil(clock.now() + 50 + random.below(600));
    const id = random.pick(members.ids);
    const dice = random.next();
    if (dice < 0.25 && down.size < 2) {
      members.crash(id);
      down.add(id);
      tally.crashes += 1;
    } else if (dice < 0.6) {
      for (const other of down) await during(members.restart(other));
      down.clear();
    } else if (dice < 0.75) {
      for (const other of members.ids) {
        if (random.chance(0.7)) members.network.cut(id, other);
        if (random.chance(0.7)) members.network.cut(other, id);
      }
      tally.partitions += 1;
    } else members.network.join();
  }
  members.network.join();
  members.network.faults = { lossRate: 0, doubleRate: 0, delayMsMax: 2 };
  for (const id of down) await during(members.restart(id));
  const beforeCalm = tally.added;
  await clock.runUntil(clock.now() + CALM_MS / 2);
  for (const client of clients) client.stopped = true;
  recording = false;
  await during(Promise.all([...running, ...recordings]));
  tally.recorded += history.events.length;
  const verdict = checkLinearizable(history.events);
  if (!verdict.linearizable) throw new Error(`not linearizable: ${JSON.stringify(verdict)}`);
  if (broken !== undefined) throw broken;
  if (members.failures.length > 0)
    throw new Error("a member stopped by itself", { cause: members.failures[0] });
  expect(tally.added).toBeGreaterThan(beforeCalm);
  for (const id of members.ids) {
    for (const key of KEYS) {
      let value: unknown;
      await during(
        members
          .store(id)!
          .get(key)
          .then((row) => (value = row?.value ?? 0)),
      );
      expect([seed, id, key, value]).toEqual([seed, id, key, sums.get(key)]);
    }
  }
  for (const id of members.ids) await during(members.store(id)!.close());
}

test(`raft members: ${SEEDS} seeds of crashes, partitions and slow disks lose, double and hide no txn`, async () => {
  const tally: Tally = {
    added: 0,
    conflicts: 0,
    retries: 0,
    reads: 0,
    crashes: 0,
    partitions: 0,
    recorded: 0,
  };
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    try {
      await storm(seed, tally);
    } catch (cause) {
      throw new Error(`seed ${seed} failed: SIMULATION_SEEDS=1 SIMULATION_FIRST_SEED=${seed} runs it alone`, {
        cause,
      });
    }
  }
  for (const [name, count] of Object.entries(tally)) expect([name, count > 0]).toEqual([name, true]);
}, 120_000);
