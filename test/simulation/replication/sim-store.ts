import { SystemError } from "../../../shared/errors.ts";
import type {
  GetResult,
  ListOptions,
  ListPage,
  ObjectHead,
  ObjectStore,
  PutOutcome,
} from "../../../shared/objects/contract.ts";
import type { Random } from "../random.ts";
import type { Coverage } from "./coverage.ts";
import { Actor, type Schedule } from "./schedule.ts";

/** Told of everything that changes the store, in the order in which it does. */
export interface StoreObserver {
  created(key: string, bytes: Uint8Array): void;
  removed(key: string): void;
  /** A conditional PUT met an object. */
  refused(key: string, bytes: Uint8Array, there: Uint8Array): void;
}

export interface StoreClimate {
  failure: number;
  lostAnswer: number;
  lateEffect: number;
  duplicate: number;
  slow: number;
  /** Everything fails, after a while. */
  outage: boolean;
}

export const LATE_MS_MAX = 2_500;
const DELAY_MS_MIN = 2;
const DELAY_MS_MAX = 18;
const SLOW_MS_MAX = 350;
const bodies = new WeakMap<ReadableStream<Uint8Array>, Uint8Array>();

/** An object store in memory. Requests travel, are lost, come late and come twice, as the climate says. */
export class SimulatedStore {
  readonly objects = new Map<string, Uint8Array>();
  climate: StoreClimate = { failure: 0, lostAnswer: 0, lateEffect: 0, duplicate: 0, slow: 0, outage: false };
  /** Objects that reads do not find, as if somebody had deleted them; and listings that come back empty. */
  readonly hidden = new Set<string>();
  readonly everHidden = new Set<string>();
  readonly blind = new Set<string>();
  wasBlind = false;
  /** Whose data keys were lost, for a while or for good. */
  readonly unkeyed = new Set<string>();
  #keys: string[] = [];
  readonly #network = new Actor("store");
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #coverage: Coverage;
  readonly #observer: StoreObserver;

  constructor(schedule: Schedule, random: Random, coverage: Coverage, observer: StoreObserver) {
    this.#schedule = schedule;
    this.#random = random;
    this.#coverage = coverage;
    this.#observer = observer;
  }

  /** All keys under a prefix, as they are now. */
  keys(prefix: string): string[] {
    return this.#keys.filter((key) => key.startsWith(prefix));
  }

  /** The store as one process sees it: answers are events of that process. */
  as(actor: Actor): ObjectStore {
    const underWay = new Set<string>();
    const call = <T>(
      what: string,
      key: string,
      signal: AbortSignal | undefined,
      effect: () => T,
      lost: () => T,
    ): Promise<T> => this.#call(actor, what, key, signal, effect, lost);
    const fails = (what: string, key: string) => (): never => {
      throw new SystemError("store_unavailable", `Cannot ${what} ${key}: lost in simulation`);
    };
    return {
      kind: "file",
      description: "simulated",
      putIfAbsent: async (key, body, options) => {
        const bytes = body instanceof Uint8Array ? body : await streamBytes(body.stream);
        if (underWay.has(key)) this.#coverage.add("hedges");
        underWay.add(key);
        try {
          return await call<PutOutcome>(
            "put",
            key,
            options?.signal,
            () => this.#create(key, bytes),
            () => "unknown",
          );
        } finally {
          underWay.delete(key);
        }
      },
      put: async (key, body, options) => {
        const bytes = body instanceof Uint8Array ? body : await streamBytes(body.stream);
        return call("overwrite", key, options?.signal, () => this.#set(key, bytes), fails("put", key));
      },
      get: (key, options) => call("get", key, options?.signal, () => this.#get(key), fails("get", key)),
      range: (key, range, options) =>
        call("range", key, options?.signal, () => this.#range(key, range), fails("range", key)),
      head: (key, options) => call("head", key, options?.signal, () => this.#head(key), fails("head", key)),
      list: (options) =>
        call(
          "list",
          options.prefix,
          options.signal,
          () => this.#list(options, actor.name),
          fails("list", options.prefix),
        ),
      delete: (keys, options) =>
        call(
          "delete",
          `${keys[0]} +${keys.length - 1}`,
          options?.signal,
          () => {
            for (const key of keys) {
              if (key.endsWith(".wlog") && this.objects.has(key))
                this.#coverage.add("log objects removed by their writer");
              this.remove(key);
            }
          },
          fails("delete", keys[0] ?? ""),
        ),
      copy: (from, to, options) =>
        call(
          "copy",
          to,
          options?.signal,
          () => {
            const bytes = this.objects.get(from);
            if (bytes !== undefined) this.#set(to, bytes);
          },
          fails("copy", to),
        ),
      thaw: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }

  /** As if it had never been away. */
  putBack(key: string, bytes: Uint8Array): void {
    if (!this.objects.has(key)) this.#set(key, bytes);
  }

  remove(key: string): void {
    if (!this.objects.delete(key)) return;
    this.#keys.splice(this.#keys.indexOf(key), 1);
    this.#observer.removed(key);
  }

  #call<T>(
    actor: Actor,
    what: string,
    key: string,
    signal: AbortSignal | undefined,
    effect: () => T,
    lost: () => T,
  ): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let sent = true;
    const onAbort = (): void => {
      // What is on its way may or may not be stopped by hanging up.
      sent = this.#random.chance(0.7);
      reject(signal?.reason as Error);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    const answer = (delayMs: number, settle: () => void): void => {
      this.#schedule.at(actor, delayMs, `${what} ${key}`, () => {
        signal?.removeEventListener("abort", onAbort);
        settle();
      });
    };
    const resolved = (make: () => T) => (): void => {
      try {
        resolve(make());
      } catch (error) {
        reject(error);
      }
    };
    const apply = (delayMs: number, then: (result: () => T) => void): void => {
      this.#schedule.at(this.#network, delayMs, `applies ${what} ${key} of ${actor.name}`, () => {
        if (!sent) return;
        // What the effect throws is the answer, but a broken promise of the product ends the run.
        const result = effect();
        then(() => result);
      });
    };
    const { failure, lostAnswer, lateEffect, duplicate, outage } = this.climate;
    const there = this.#delay();
    const back = this.#delay();
    let dice = this.#random.next();
    const hit = (rate: number): boolean => (dice -= rate) < 0;
    if (outage) {
      if (this.#random.chance(0.2)) apply(LATE_MS_MAX * this.#random.next(), () => {});
      answer(there + back + 100 * this.#random.next(), resolved(lost));
    } else if (hit(failure)) {
      this.#coverage.add("failed requests");
      answer(there + back, resolved(lost));
    } else if (hit(lostAnswer)) {
      this.#coverage.add("answers lost");
      apply(there, () => answer(back + 60 * this.#random.next(), resolved(lost)));
    } else if (hit(lateEffect)) {
      this.#coverage.add("late effects");
      answer(there + back, resolved(lost));
      apply(there + LATE_MS_MAX * this.#random.next(), () => {});
    } else if (hit(duplicate)) {
      this.#coverage.add("duplicate requests");
      apply(there, () => {});
      apply(there + this.#delay(), (result) => answer(back, resolved(result)));
    } else {
      apply(there, (result) => answer(back, resolved(result)));
    }
    return promise;
  }

  #delay(): number {
    const most = this.#random.chance(this.climate.slow) ? SLOW_MS_MAX : DELAY_MS_MAX;
    return DELAY_MS_MIN + this.#random.next() * (most - DELAY_MS_MIN);
  }

  #create(key: string, bytes: Uint8Array): PutOutcome {
    const there = this.objects.get(key);
    if (there !== undefined) {
      this.#observer.refused(key, bytes, there);
      return "exists";
    }
    this.#set(key, bytes);
    return "created";
  }

  #set(key: string, bytes: Uint8Array): void {
    if (!this.objects.has(key)) {
      let low = 0;
      let high = this.#keys.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.#keys[middle]! < key) low = middle + 1;
        else high = middle;
      }
      this.#keys.splice(low, 0, key);
    }
    this.objects.set(key, bytes);
    this.#observer.created(key, bytes);
  }

  #find(key: string): Uint8Array | undefined {
    return this.hidden.has(key) ? undefined : this.objects.get(key);
  }

  #get(key: string): GetResult | undefined {
    const bytes = this.#find(key);
    if (bytes === undefined) return undefined;
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(bytes.slice());
        controller.close();
      },
    });
    bodies.set(stream, bytes);
    return { size: bytes.length, stream };
  }

  #range(
    key: string,
    range: { offset: number; length: number } | { suffix: number },
  ): { bytes: Uint8Array; size: number } | undefined {
    const bytes = this.#find(key);
    if (bytes === undefined) return undefined;
    const part =
      "suffix" in range
        ? bytes.slice(Math.max(0, bytes.length - range.suffix))
        : bytes.slice(range.offset, range.offset + range.length);
    return { bytes: part, size: bytes.length };
  }

  #head(key: string): ObjectHead | undefined {
    const bytes = this.#find(key);
    if (bytes === undefined) return undefined;
    return { key, size: bytes.length, modifiedMs: 0, storageClass: "STANDARD", thaw: "none" };
  }

  #list({ prefix, startAfter = "", limit = 1_000, delimiter }: ListOptions, by: string): ListPage {
    if (this.blind.has(by) && prefix.startsWith("tenants/")) return { objects: [], prefixes: [] };
    const found = this.#keys.filter(
      (key) => key.startsWith(prefix) && key > startAfter && !this.hidden.has(key),
    );
    if (delimiter !== undefined) {
      const prefixes = new Set<string>();
      const objects: ListPage["objects"] = [];
      for (const key of found) {
        const at = key.indexOf(delimiter, prefix.length);
        if (at >= 0) prefixes.add(key.slice(0, at + delimiter.length));
        else objects.push({ key, size: this.objects.get(key)!.length, modifiedMs: 0 });
      }
      return { objects, prefixes: [...prefixes] };
    }
    // A driver may return fewer than were asked for.
    const most = this.#random.chance(0.1) ? 1 + this.#random.below(5) : limit;
    const some = found.slice(0, Math.min(limit, most));
    const objects = some.map((key) => ({ key, size: this.objects.get(key)!.length, modifiedMs: 0 }));
    const last = some.at(-1);
    return some.length < found.length && last !== undefined
      ? { objects, prefixes: [], next: last }
      : { objects, prefixes: [] };
  }
}

/** Without the event loop's help: streams of ours, and ones that are made of them. */
async function streamBytes(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const known = bodies.get(stream);
  if (known !== undefined) return known;
  const chunks: Uint8Array[] = [];
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(chunks);
    chunks.push(value);
  }
}

/** `Response` reads streams with the help of the event loop, which a step of the simulation does not turn. This one does not. */
export function readStreamsAtOnce(): void {
  const Real = globalThis.Response;
  class SimulatedResponse extends Real {
    readonly #stream: ReadableStream<Uint8Array> | undefined;

    constructor(body?: BodyInit | null, init?: ResponseInit) {
      const stream = body instanceof ReadableStream ? (body as ReadableStream<Uint8Array>) : undefined;
      super(stream === undefined ? body : null, init);
      this.#stream = stream;
    }

    override async arrayBuffer(): Promise<ArrayBuffer> {
      if (this.#stream === undefined) return super.arrayBuffer();
      return new Uint8Array(await streamBytes(this.#stream)).buffer;
    }
  }
  globalThis.Response = SimulatedResponse;
}
