import { describe, expect, test } from "bun:test";
import { SystemError } from "../errors.ts";
import type { Incarnation, LogSeq } from "../ids.ts";
import type { ListPage, ObjectStore, PutOutcome } from "../objects/contract.ts";
import { logKey } from "../objects/layout.ts";
import { decodeLogHeader } from "./decode.ts";
import { encodeLogObject } from "./encode.ts";
import { lowWatermarkMax } from "./log.ts";
import { sealLog } from "./seal.ts";
import { storeDouble } from "./store-double.ts";

const INCARNATION = 7 as Incarnation;
const WRITER = "a".repeat(32);

/** mulberry32: one seed, one run. */
function randomness(seed: number) {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  return { next, below: (n: number) => Math.floor(next() * n), chance: (p: number) => next() < p };
}
type Random = ReturnType<typeof randomness>;

interface Event {
  actor: string;
  run: () => void;
}

/** Everything that happens is an event; the seed picks the next one, and starves single actors for long stretches. */
class World {
  readonly random: Random;
  readonly objects = new Map<string, Uint8Array>();
  readonly counters: Record<string, number>;
  events: Event[] = [];
  faults = 0.15;
  #frozen = new Set<string>();

  constructor(seed: number, counters: Record<string, number>) {
    this.random = randomness(seed);
    this.counters = counters;
  }

  count(what: string): void {
    this.counters[what] = (this.counters[what] ?? 0) + 1;
  }

  at(actor: string, run: () => void): void {
    this.events.push({ actor, run });
  }

  sleep(actor: string): Promise<void> {
    return new Promise((resolve) => this.at(actor, resolve));
  }

  async step(): Promise<boolean> {
    if (this.events.length === 0) return false;
    if (this.random.chance(0.02)) {
      this.#frozen.clear();
      for (const { actor } of this.events) if (this.random.chance(0.4)) this.#frozen.add(actor);
    }
    const awake = this.events.filter((event) => !this.#frozen.has(event.actor));
    const pool = awake.length > 0 ? awake : this.events;
    const event = pool[this.random.below(pool.length)] as Event;
    this.events.splice(this.events.indexOf(event), 1);
    event.run();
    await new Promise((resolve) => setImmediate(resolve));
    return true;
  }

  /** The store as one actor sees it: answers late, loses them, applies late what it called unknown. */
  store(actor: string): ObjectStore {
    const { random } = this;
    const delayed = <T>(apply: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        this.at(actor, () => {
          if (random.chance(this.faults)) {
            reject(new SystemError("store_unavailable", "Cannot reach the store: lost"));
            return;
          }
          const answer = apply();
          this.at(actor, () => resolve(answer));
        });
      });
    const put = (key: string, body: Uint8Array): Promise<PutOutcome> =>
      new Promise((resolve) => {
        const apply = (): PutOutcome => {
          if (this.objects.has(key)) return "exists";
          this.objects.set(key, body);
          return "created";
        };
        this.at(actor, () => {
          if (random.chance(this.faults)) {
            this.count("unknown");
            // On the network or not: perhaps it happens much later, perhaps never.
            if (random.chance(0.6)) this.at(`${actor} late`, apply);
            this.at(actor, () => resolve("unknown"));
            return;
          }
          const outcome = apply();
          const lost = random.chance(this.faults);
          if (lost) this.count("answer lost");
          this.at(actor, () => resolve(lost ? "unknown" : outcome));
        });
      });
    const list = (prefix: string, startAfter: string, limit: number): ListPage => {
      const keys = [...this.objects.keys()]
        .filter((key) => key.startsWith(prefix) && key > startAfter)
        .sort();
      const some = keys.slice(0, Math.min(limit, 1 + random.below(6)));
      const objects = some.map((key) => ({ key, size: 0, modifiedMs: 0 }));
      const last = some.at(-1);
      return last !== undefined && some.length < keys.length
        ? { objects, prefixes: [], next: last }
        : { objects, prefixes: [] };
    };
    return storeDouble({
      putIfAbsent: (key, body) => put(key, body as Uint8Array),
      list: ({ prefix, startAfter, limit }) => delayed(() => list(prefix, startAfter ?? "", limit ?? 1_000)),
      range: (key) =>
        delayed(() => {
          const bytes = this.objects.get(key);
          return bytes === undefined ? undefined : { bytes: bytes.slice(0, 64), size: bytes.length };
        }),
    });
  }

  header(seq: number) {
    const bytes = this.objects.get(logKey(INCARNATION, seq as LogSeq));
    return bytes === undefined ? undefined : decodeLogHeader(bytes);
  }
}

/** A worker's log as replication.md §3 says: one PUT in flight, perhaps hedged, the same bytes until it is settled, truncation behind. */
class Writer {
  acknowledged = 0;
  fenced = false;
  readonly #world: World;
  #lowWatermark = 0;

  constructor(world: World) {
    this.#world = world;
  }

  async run(objects: number): Promise<void> {
    const { random } = this.#world;
    for (let seq = 1; seq <= objects && !this.fenced; seq++) {
      if (random.chance(0.3)) this.#lowWatermark = random.below(lowWatermarkMax(seq as LogSeq) + 1);
      const lowWatermark = this.#lowWatermark as LogSeq;
      const header = { incarnation: INCARNATION, seq: seq as LogSeq, nonce: WRITER, lowWatermark } as const;
      const body = encodeLogObject({ ...header, kind: "entries" }, []);
      await this.#put(logKey(INCARNATION, seq as LogSeq), body);
      if (this.fenced) return;
      this.acknowledged = seq;
      for (let old = 1; old < lowWatermark; old++) {
        const key = logKey(INCARNATION, old as LogSeq);
        if (this.#world.header(old)?.kind !== "entries" || random.chance(0.3)) continue;
        this.#world.at("deleter", () => {
          this.#world.count("truncated");
          this.#world.objects.delete(key);
        });
      }
    }
  }

  async #put(key: string, body: Uint8Array): Promise<void> {
    const store = this.#world.store("writer");
    for (;;) {
      const hedge = this.#world.random.chance(0.2) ? store.putIfAbsent(key, body) : undefined;
      const outcome = await Promise.race([
        store.putIfAbsent(key, body),
        ...(hedge === undefined ? [] : [hedge]),
      ]);
      if (outcome === "created") return;
      if (outcome === "unknown") continue;
      const found = this.#world.objects.get(key) as Uint8Array;
      this.fenced = decodeLogHeader(found).nonce !== WRITER;
      return;
    }
  }
}

async function simulate(seed: number, counters: Record<string, number>): Promise<string | undefined> {
  const world = new World(seed, counters);
  const { random } = world;
  const writer = new Writer(world);
  const ends: number[] = [];
  let running = 0;
  let failure: unknown;
  const seal = (name: string, from: number, signal?: AbortSignal): void => {
    running++;
    const options = { incarnation: INCARNATION, from: from as LogSeq, nonce: name.repeat(32) };
    sealLog({
      ...options,
      store: world.store(name),
      sleep: () => world.sleep(name),
      ...(signal === undefined ? {} : { signal }),
    })
      .then((end) => ends.push(end))
      .catch((error: unknown) => {
        if (signal?.aborted !== true) failure ??= error;
      })
      .finally(() => running--);
  };
  const writing = writer.run(5 + random.below(40));
  const sealers = 1 + random.below(3);
  for (let i = 0; i < sealers; i++) {
    const dies = random.chance(0.3);
    const startAt = random.below(200);
    let wait = startAt;
    const start = (): void => {
      if (wait-- > 0) {
        world.at("clock", start);
        return;
      }
      const death = new AbortController();
      if (dies) {
        world.count("sealer died");
        let left = random.below(60);
        const tick = (): void => (left-- > 0 ? world.at("clock", tick) : death.abort());
        world.at("clock", tick);
      }
      // A beat tells a durable slot, perhaps an old one; a restored control knows none.
      const from = random.chance(0.4) ? 0 : random.below(writer.acknowledged + 1);
      seal("bcd"[i] as string, from, dies ? death.signal : undefined);
    };
    world.at("clock", start);
  }
  for (let steps = 0; (await world.step()) && failure === undefined; steps++) {
    if (steps > 40_000) return "it does not come to rest";
  }
  if (failure !== undefined) return `a sealer failed: ${Bun.inspect(failure)}`;
  world.faults = 0;
  seal("e", 0);
  while (await world.step());
  await writing;
  if (running !== 0) return "a sealer hangs";
  if (failure !== undefined) return `the last sealer failed: ${Bun.inspect(failure)}`;

  const [end] = ends;
  if (end === undefined) return "nobody sealed";
  if (sealers > 1) world.count("second sealers");
  if (new Set(ends).size !== 1) return `sealers disagree: ${ends.join(", ")}`;
  if (writer.acknowledged >= end) return `slot ${writer.acknowledged} was acknowledged, the end is ${end}`;
  if (world.header(end)?.kind !== "seal") return `slot ${end} holds no SEAL`;
  if (writer.fenced) world.count("writer fenced");
  for (let slot = 1; slot < end; slot++) if (world.header(slot)?.kind === "seal") world.count("stray seals");
  return undefined;
}

describe("sealLog", () => {
  test("one end for all sealers, above everything acknowledged, in every interleaving", async () => {
    const counters: Record<string, number> = {};
    const runs = Number(process.env["SEAL_SEEDS"] ?? 400);
    for (let seed = 1; seed <= runs; seed++) {
      const defect = await simulate(seed, counters);
      expect(defect === undefined ? "" : `seed ${seed}: ${defect}`).toBe("");
    }
    // A run that never meets these proves nothing about them.
    for (const what of [
      "unknown",
      "answer lost",
      "truncated",
      "sealer died",
      "second sealers",
      "writer fenced",
      "stray seals",
    ]) {
      expect([what, counters[what] ?? 0]).not.toEqual([what, 0]);
    }
    if (process.env["SEAL_SEEDS"] !== undefined) console.log(counters);
  }, 600_000);
});
