import { SystemError } from "../errors.ts";
import type { Incarnation, LogSeq } from "../ids.ts";
import { limits } from "../limits.ts";
import type { ObjectStore, RequestOptions } from "../objects/contract.ts";
import { logKey } from "../objects/layout.ts";
import { encodeLogObject } from "./encode.ts";
import { lowWatermarkMax } from "./log.ts";
import { type LogSlots, highestSlot, readSlot } from "./slots.ts";

export interface SealOptions {
  store: ObjectStore;
  /** Whose log. */
  incarnation: Incarnation;
  /** A slot known to be the incarnation's own and durable, that of its last beat; 0 when none is known. */
  from: LogSeq;
  /** 32 lower-case hex digits of the sealer. */
  nonce: string;
  signal?: AbortSignal;
  /** Waits between retries; injected by simulators. */
  sleep?: (ms: number) => Promise<void>;
}

/**
 * Ends an incarnation's log and says where: every object that its writer was ever told `created` for stands below the result, no
 * later one can be created at or above it unnoticed, and every sealer gets the same number (replication.md §5).
 *
 * It rests on: one PUT in flight and none above a foreign object; `If-None-Match` with one winner; a listing that shows what was
 * created before it began; the newest `sealSlots` objects of an unsealed log and the SEAL at its end are never deleted.
 *
 * With T the writer's highest object these give: slots T-3..T are the writer's, every SEAL above T stands within T+1..T+4 (each sealer
 * starts from a slot that really was the writer's), and a SEAL below T stands below T-4, in a slot that was deleted before. So the
 * end is T+1 once the slots up to a SEAL are all filled, and an object of the writer above a SEAL unmasks it as one of the latter.
 *
 * @returns endSeq: the slot of the SEAL that counts
 * @throws SystemError `store_unavailable` when the store fails for too long or the writer is faster for sealRoundsMax rounds: try
 *   again; `object_corrupt`, `object_foreign` or `object_version` when a slot holds what is no log object; the signal's reason
 */
export async function sealLog(options: SealOptions): Promise<LogSeq> {
  const sealer = new Sealer(options);
  let floor = options.from;
  for (let round = 0; round < limits.sealRoundsMax; round++) {
    const tail = await sealer.findTail(floor);
    if (tail.end !== undefined) return tail.end;
    const seal = await sealer.fill(tail.last);
    if (seal === undefined) {
      floor = (tail.last + limits.sealSlots) as LogSeq;
      continue;
    }
    const passed = await sealer.entriesAbove(seal);
    if (passed === undefined) return seal;
    floor = passed;
  }
  throw new SystemError(
    "store_unavailable",
    `Cannot seal the log of incarnation ${options.incarnation}: its writer took every slot first`,
    { hint: "Its worker is alive and fast: ask again, or stop it.", retryAfterMs: limits.logRetryDelayMsMax },
  );
}

type Holder = "writer" | "seal";

class Sealer {
  readonly #slots: LogSlots;
  readonly #options: SealOptions;
  /** What was seen in a slot. Objects never change, so this stays true of what once stood there. */
  readonly #seen = new Map<LogSeq, Holder>();
  #lowWatermark = 0 as LogSeq;

  constructor(options: SealOptions) {
    this.#options = options;
    this.#slots = { store: options.store, incarnation: options.incarnation };
  }

  /** The writer's highest object (`floor` when it has none above); `end` when the log was sealed and its objects are gone since. */
  async findTail(floor: LogSeq): Promise<{ last: LogSeq; end?: LogSeq }> {
    const highest = await this.#retry((request) => highestSlot(this.#slots, floor, request));
    if (highest === floor) return { last: floor };
    if ((await this.#look(highest)) === "writer") return { last: highest };
    const lowest = Math.max(floor + 1, highest - limits.sealSlots) as LogSeq;
    const holders = await Promise.all(range(lowest, highest).map((slot) => this.#look(slot)));
    const writer = holders.lastIndexOf("writer");
    if (writer >= 0) return { last: (lowest + writer) as LogSeq };
    const cleaned =
      floor < highest - limits.sealSlots || (floor > 0 && (await this.#look(floor)) === undefined);
    if (!cleaned) return { last: floor };
    const first = Math.max(floor + 1, highest - limits.sealSlots + 1);
    const end = range(first, highest).find((slot) => this.#seen.get(slot) === "seal");
    return end === undefined ? { last: floor } : { last: floor, end };
  }

  /**
   * PUTs a SEAL into each of the next slots. The lowest slot that holds a SEAL counts only when all below it are known to be the
   * writer's; what happens above it no longer matters and is given up.
   */
  async fill(last: LogSeq): Promise<LogSeq | undefined> {
    const rest = new AbortController();
    const { signal } = this.#options;
    const both = signal === undefined ? rest.signal : AbortSignal.any([signal, rest.signal]);
    const slots = range(last + 1, last + limits.sealSlots);
    const holders = slots.map((slot) => this.#claim(slot, both));
    try {
      for (const [i, holder] of holders.entries()) {
        if ((await holder) === "seal") return slots[i];
      }
      return undefined;
    } finally {
      rest.abort();
      await Promise.allSettled(holders);
    }
  }

  /** A slot above `seal` that proves the writer to be past it, so that it does not count; undefined when there is none. */
  async entriesAbove(seal: LogSeq): Promise<LogSeq | undefined> {
    const highest = await this.#retry((request) => highestSlot(this.#slots, seal, request));
    if (highest > seal + limits.sealSlots) return seal;
    const slots = range(seal + 1, highest);
    const holders = await Promise.all(slots.map((slot) => this.#look(slot)));
    return slots[holders.lastIndexOf("writer")];
  }

  async #claim(slot: LogSeq, signal: AbortSignal): Promise<Holder> {
    const { store, incarnation, nonce } = this.#options;
    const lowWatermark = Math.min(this.#lowWatermark, lowWatermarkMax(slot)) as LogSeq;
    const body = encodeLogObject({ incarnation, seq: slot, nonce, kind: "seal", lowWatermark }, []);
    for (let attempt = 0; attempt < limits.sealAttemptsMax; attempt++) {
      const outcome = await this.#retry(
        (request) => store.putIfAbsent(logKey(incarnation, slot), body, request),
        signal,
      );
      if (outcome === "created") {
        this.#seen.set(slot, "seal");
        return "seal";
      }
      // Gone again after it existed: only a truncated log does that, and the next try tells.
      const holder = outcome === "exists" ? await this.#look(slot, signal) : undefined;
      if (holder !== undefined) return holder;
      await this.#wait(attempt, signal);
    }
    throw new SystemError(
      "store_unavailable",
      `Cannot seal slot ${slot} of incarnation ${incarnation}: the store does not tell whether it was written`,
      { retryAfterMs: limits.logRetryDelayMsMax },
    );
  }

  async #look(slot: LogSeq, signal?: AbortSignal): Promise<Holder | undefined> {
    const seen = this.#seen.get(slot);
    if (seen !== undefined) return seen;
    const header = await this.#retry((request) => readSlot(this.#slots, slot, request), signal);
    if (header === undefined) return undefined;
    const holder = header.kind === "seal" ? "seal" : "writer";
    this.#seen.set(slot, holder);
    this.#lowWatermark = Math.max(this.#lowWatermark, header.lowWatermark) as LogSeq;
    return holder;
  }

  async #retry<T>(call: (request: RequestOptions) => Promise<T>, signal = this.#options.signal): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      signal?.throwIfAborted();
      try {
        return await orAborted(call(signal === undefined ? {} : { signal }), signal);
      } catch (error) {
        const passing = error instanceof SystemError && error.code === "store_unavailable";
        if (!passing || attempt + 1 >= limits.sealAttemptsMax) throw error;
      }
      await this.#wait(attempt, signal);
    }
  }

  async #wait(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    const ms = Math.min(limits.logRetryDelayMsMin * 2 ** attempt, limits.logRetryDelayMsMax);
    await orAborted((this.#options.sleep ?? delay)(ms), signal);
  }
}

/** Gives up waiting when the signal says so, whatever the store makes of it. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function range(first: number, last: number): LogSeq[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) as LogSeq);
}

const delay = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
