import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { getBytes } from "../../shared/objects/read.ts";
import type { Clock } from "./clock.ts";
import { parallel } from "./parallel.ts";
import { sleep } from "./put-durably.ts";

export interface Fetching {
  store: ObjectStore;
  clock: Clock;
  signal: AbortSignal;
}

/** A part of an object that a listing or a log named. */
export interface ObjectRange {
  key: string;
  /** Bytes of the whole object. */
  size: number;
  offset: number;
  length: number;
}

/**
 * Tries again while the store fails, a bounded number of times: a large restore must not begin anew for one broken connection.
 * @throws SystemError `chain_gap` when the object is not there, `object_corrupt` when it has another size, `store_unavailable`
 */
export async function fetchRange(from: Fetching, range: ObjectRange): Promise<Uint8Array> {
  const { clock, signal } = from;
  let delayMs: number = limits.restoreRetryMsMin;
  for (let attempt = 1; ; attempt++) {
    try {
      return await fetchOnce(from, range);
    } catch (error) {
      const passes = error instanceof SystemError && error.code === "store_unavailable";
      if (!passes || signal.aborted || attempt >= limits.restoreReadAttemptsMax) throw error;
    }
    await sleep(clock, delayMs, signal);
    delayMs *= 2;
  }
}

async function fetchOnce(
  { store, signal }: Omit<Fetching, "clock">,
  range: ObjectRange,
): Promise<Uint8Array> {
  const { key, size, offset, length } = range;
  if (length === size) {
    const bytes = await getBytes(store, key, { signal });
    if (bytes === undefined) throw missing(key);
    if (bytes.length !== size) throw resized(key, bytes.length, size);
    return bytes;
  }
  const part = await store.range(key, { offset, length }, { signal });
  if (part === undefined) throw missing(key);
  if (part.bytes.length !== length || part.size !== size) throw resized(key, part.size, size);
  return part.bytes;
}

/**
 * A whole object in memory, large ones by parallel ranged GETs: for objects of bounded size.
 * @throws as `fetchRange`, at the first failure
 */
export async function fetchObject(
  store: ObjectStore,
  key: string,
  size: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const ranges = [...rangesOf({ key, size }, limits.restoreRangeBytes)];
  const [only] = ranges;
  if (only !== undefined && ranges.length === 1) return fetchOnce({ store, signal }, only);
  const whole = new Uint8Array(size);
  await parallel(ranges, limits.restoreParallelGets, async (range) => {
    whole.set(await fetchOnce({ store, signal }, range), range.offset);
  });
  return whole;
}

/** An object in pieces of at most `bytesMax`, in order. */
export function* rangesOf(
  { key, size }: { key: string; size: number },
  bytesMax: number,
): Generator<ObjectRange> {
  for (let offset = 0; offset === 0 || offset < size; offset += bytesMax) {
    yield { key, size, offset, length: Math.min(bytesMax, size - offset) };
  }
}

const missing = (key: string): SystemError =>
  new SystemError("chain_gap", `Cannot restore from ${key}: the object is gone`, {
    hint: "Put it back from the bucket's versions or a backup; a shorter database is never served.",
    details: { key },
  });

const resized = (key: string, size: number, expected: number): SystemError =>
  new SystemError("object_corrupt", `Cannot restore from ${key}: its size is not what was written`, {
    hint: "The object was cut or changed. Put it back from the bucket's versions or a backup.",
    details: { key, size, expected },
  });
