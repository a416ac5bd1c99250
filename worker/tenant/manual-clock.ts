/** For tests: time that passes when it is told to, and a store that keeps that time. */
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { type Clock, systemClock } from "../replication/clock.ts";

export class ManualClock implements Clock {
  readonly #startMs = Date.now();
  #passedMs = 0;
  #requests = 0;
  #timers: { atMs: number; run: () => void }[] = [];
  soon(run: () => void): void {
    systemClock.soon(run);
  }

  random(): number {
    return systemClock.random();
  }

  nowMs(): number {
    return this.#startMs + this.#passedMs;
  }

  monotonicMs(): number {
    return this.#passedMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#passedMs + delayMs, run };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((one) => one !== timer));
  }

  get timers(): number {
    return this.#timers.length;
  }

  /** Timers run when they are due; what they start has real time to end. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#passedMs + ms;
    for (;;) {
      const [due] = this.#timers.filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs);
      if (due === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== due);
      this.#passedMs = Math.max(this.#passedMs, due.atMs);
      due.run();
      await this.#quiet();
    }
    this.#passedMs = untilMs;
  }

  /** Until the store has had nothing to do for some turns. */
  async #quiet(): Promise<void> {
    for (let turns = 0, rounds = 0; turns < 4 && rounds < 2_000; rounds++) {
      await Bun.sleep(2);
      turns = this.#requests === 0 ? turns + 1 : 0;
    }
  }

  /** As if the process slept: timers are late. */
  jump(ms: number): void {
    this.#passedMs += ms;
  }

  #counting<Call extends unknown[]>(call: (...given: Call) => unknown): (...given: Call) => unknown {
    return async (...given) => {
      this.#requests++;
      try {
        return await call(...given);
      } finally {
        this.#requests--;
      }
    };
  }

  /** The store, whose objects were made by this clock. */
  timed(store: ObjectStore): ObjectStore {
    const made = new Map<string, number>();
    const put: ObjectStore["putIfAbsent"] = async (key, body, options) => {
      const outcome = await store.putIfAbsent(key, body, options);
      if (outcome === "created") made.set(key, this.nowMs());
      return outcome;
    };
    const head: ObjectStore["head"] = async (key, options) => {
      const found = await store.head(key, options);
      return found === undefined ? undefined : { ...found, modifiedMs: made.get(key) ?? found.modifiedMs };
    };
    const overwrite: ObjectStore["put"] = async (key, body, options) => {
      await store.put(key, body, options);
      made.set(key, this.nowMs());
    };
    return new Proxy(store, {
      get: (target, name: keyof ObjectStore) => {
        if (name === "putIfAbsent") return this.#counting(put);
        if (name === "put") return this.#counting(overwrite);
        if (name === "head") return this.#counting(head);
        if (name === "list") {
          return this.#counting(async (options: Parameters<ObjectStore["list"]>[0]) => {
            const page = await target.list(options);
            const objects = page.objects.map((one) => ({
              ...one,
              modifiedMs: made.get(one.key) ?? one.modifiedMs,
            }));
            return { ...page, objects };
          });
        }
        const value = target[name];
        return typeof value === "function" ? this.#counting((value as () => unknown).bind(target)) : value;
      },
    });
  }
}
