import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { getBytes } from "../../shared/objects/read.ts";
import { parallel } from "./parallel.ts";

/**
 * A whole object that a listing or a log named, large ones by parallel ranged GETs.
 * @throws SystemError `chain_gap` when it is not there, `object_corrupt` when it has another size
 */
export async function fetchObject(
  store: ObjectStore,
  key: string,
  size: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (size <= limits.restoreRangeBytes) {
    const bytes = await getBytes(store, key, { signal });
    if (bytes === undefined) throw missing(key);
    if (bytes.length !== size) throw resized(key);
    return bytes;
  }
  const whole = new Uint8Array(size);
  const offsets = Array.from(
    { length: Math.ceil(size / limits.restoreRangeBytes) },
    (_, i) => i * limits.restoreRangeBytes,
  );
  await parallel(offsets, limits.restoreParallelGets, async (offset) => {
    const length = Math.min(limits.restoreRangeBytes, size - offset);
    const part = await store.range(key, { offset, length }, { signal });
    if (part === undefined) throw missing(key);
    if (part.bytes.length !== length || part.size !== size) throw resized(key);
    whole.set(part.bytes, offset);
  });
  return whole;
}

const missing = (key: string): SystemError =>
  new SystemError("chain_gap", `Cannot restore from ${key}: the object is gone`, {
    hint: "Put it back from the bucket's versions or a backup; a shorter database is never served.",
  });

const resized = (key: string): SystemError =>
  new SystemError("object_corrupt", `Cannot restore from ${key}: its size is not what was written`);
