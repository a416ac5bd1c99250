import { SystemError } from "../../shared/errors.ts";
import type { ListOptions, ObjectStore, PutOutcome } from "../../shared/objects/contract.ts";
import { bytesOf } from "./stream.ts";

export type StoreOperation =
  | "putIfAbsent"
  | "put"
  | "get"
  | "range"
  | "head"
  | "list"
  | "delete"
  | "copy"
  | "thaw";

/**
 * - `delay`: takes longer.
 * - `failBefore`: no effect, and an error (`unknown` for putIfAbsent).
 * - `lostAnswer`: the effect, then the same error.
 * - `lateEffect`: the same error now, the effect `ms` later, when its caller may be long gone.
 * - `duplicate`: sent twice, answered by the second: a repeated putIfAbsent meets its own success and says `exists`.
 */
export type StoreFault =
  | { kind: "delay"; ms: number }
  | { kind: "failBefore" }
  | { kind: "lostAnswer" }
  | { kind: "lateEffect"; ms: number }
  | { kind: "duplicate" };

/** Asked once per request, in the order of the requests. */
export type FaultPlan = (operation: StoreOperation, key: string) => StoreFault | undefined;

/** The caller's clock, so that a simulator decides when a late effect comes. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

export interface FaultRates {
  delay?: number;
  failBefore?: number;
  lostAnswer?: number;
  lateEffect?: number;
  duplicate?: number;
  /** Longest delay of `delay` and `lateEffect`. */
  delayMsMax?: number;
}

export interface FaultyStore extends ObjectStore {
  /** How often each fault was injected, for a check that a run met them all. */
  readonly injected: Readonly<Record<StoreFault["kind"], number>>;
  /** Waits for late effects that are still to come. */
  settled(): Promise<void>;
}

/** The same faults for the same seed and order of requests. Rates are shares of 1 and sum to at most 1. */
export function seededFaults(seed: number, rates: FaultRates): FaultPlan {
  const random = mulberry32(seed);
  const ms = (): number => 1 + Math.floor(random() * (rates.delayMsMax ?? 100));
  return () => {
    let at = random();
    const hit = (rate = 0): boolean => {
      at -= rate;
      return at < 0;
    };
    if (hit(rates.delay)) return { kind: "delay", ms: ms() };
    if (hit(rates.failBefore)) return { kind: "failBefore" };
    if (hit(rates.lostAnswer)) return { kind: "lostAnswer" };
    if (hit(rates.lateEffect)) return { kind: "lateEffect", ms: ms() };
    return hit(rates.duplicate) ? { kind: "duplicate" } : undefined;
  };
}

/** Any store, answering as the plan says. Streams are read whole: for tests and simulations only. */
export function faultyStore(store: ObjectStore, plan: FaultPlan, sleep: Sleep = realSleep): FaultyStore {
  const injected = { delay: 0, failBefore: 0, lostAnswer: 0, lateEffect: 0, duplicate: 0 };
  const late = new Set<Promise<unknown>>();

  async function run<T>(
    operation: StoreOperation,
    key: string,
    signal: AbortSignal | undefined,
    effect: () => Promise<T>,
    lost: () => T,
  ): Promise<T> {
    signal?.throwIfAborted();
    const fault = plan(operation, key);
    if (fault === undefined) return effect();
    injected[fault.kind]++;
    switch (fault.kind) {
      case "delay":
        await sleep(fault.ms, signal);
        return effect();
      case "failBefore":
        return lost();
      case "lostAnswer":
        await effect();
        return lost();
      case "duplicate":
        await effect();
        return effect();
      case "lateEffect": {
        const pending = sleep(fault.ms).then(effect);
        const done = pending.then(
          () => void late.delete(done),
          () => void late.delete(done),
        );
        late.add(done);
        return lost();
      }
    }
  }

  const fails =
    (operation: StoreOperation, key: string): (() => never) =>
    () => {
      throw new SystemError("store_unavailable", `Cannot ${operation} ${key}: an injected fault`);
    };

  return {
    kind: store.kind,
    description: `${store.description} with faults`,
    injected,
    settled: async () => {
      while (late.size > 0) await Promise.all(late);
    },
    async putIfAbsent(key, body, options = {}) {
      const { signal, ...unsignalled } = options;
      const bytes = await bytesOf(key, body, signal);
      const effect = (): Promise<PutOutcome> => store.putIfAbsent(key, bytes, unsignalled);
      return run("putIfAbsent", key, signal, effect, () => "unknown");
    },
    async put(key, body, options = {}) {
      const { signal, ...unsignalled } = options;
      const bytes = await bytesOf(key, body, signal);
      await run("put", key, signal, () => store.put(key, bytes, unsignalled), fails("put", key));
    },
    get: (key, options) => run("get", key, options?.signal, () => store.get(key, options), fails("get", key)),
    range: (key, range, options) =>
      run("range", key, options?.signal, () => store.range(key, range, options), fails("range", key)),
    head: (key, options) =>
      run("head", key, options?.signal, () => store.head(key, options), fails("head", key)),
    list: (options: ListOptions) =>
      run("list", options.prefix, options.signal, () => store.list(options), fails("list", options.prefix)),
    delete: (keys, options = {}) => {
      const { signal, ...unsignalled } = options;
      const key = keys[0] ?? "";
      return run("delete", key, signal, () => store.delete(keys, unsignalled), fails("delete", key));
    },
    copy: (from, to, options = {}) => {
      const { signal, ...unsignalled } = options;
      return run("copy", to, signal, () => store.copy(from, to, unsignalled), fails("copy", to));
    },
    thaw: (key, days, options) =>
      run("thaw", key, options?.signal, () => store.thaw(key, days, options), fails("thaw", key)),
    close: () => store.close(),
  };
}

function realSleep(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const abort = (): void => {
    clearTimeout(timer);
    reject(signal?.reason);
  };
  signal?.addEventListener("abort", abort, { once: true });
  return promise.finally(() => signal?.removeEventListener("abort", abort));
}

/** A small generator of good spread; the algorithm is Tommy Ettinger's mulberry32, public domain. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
