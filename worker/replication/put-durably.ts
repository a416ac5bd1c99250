import type { ObjectBody, ObjectStore } from "../../shared/objects/contract.ts";
import { SystemError, type SystemErrorCode } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "./clock.ts";

const HOPELESS: ReadonlySet<SystemErrorCode> = new Set<SystemErrorCode>([
  "chain_gap",
  "object_corrupt",
  "object_foreign",
  "object_version",
  "internal",
]);

const PASSING: ReadonlySet<SystemErrorCode> = new Set<SystemErrorCode>([
  "store_unavailable",
  "store_missing",
]);

/**
 * Creates an object, trying again until the store says how it went. `exists` may be an earlier try of one's own.
 *
 * @param body - made anew for each try, since a stream is read once
 * @throws the signal's reason, and `HOPELESS` failures of the body
 */
export async function putDurably(
  store: ObjectStore,
  key: string,
  body: () => ObjectBody | Promise<ObjectBody>,
  options: { clock: Clock; signal: AbortSignal },
): Promise<"created" | "exists"> {
  const { clock, signal } = options;
  let delayMs: number = limits.logRetryDelayMsMin;
  for (;;) {
    signal.throwIfAborted();
    try {
      const outcome = await store.putIfAbsent(key, await body(), { signal });
      if (outcome !== "unknown") return outcome;
    } catch (error) {
      // An outage may last: only leaving this worker ends the tries. What the body suffers is none.
      if (signal.aborted || (error instanceof SystemError && HOPELESS.has(error.code))) throw error;
    }
    await sleep(clock, delayMs * (0.5 + clock.random() / 2), signal);
    delayMs = Math.min(delayMs * 2, limits.logRetryDelayMsMax);
  }
}

/**
 * Creates an object, or finds that the one that is there is as good. Between the two looks it may have been deleted: then it is
 * created after all.
 *
 * @param isSame - says so of the object's first bytes and its size
 * @throws SystemError `object_foreign` when another one is there; the signal's reason
 */
export async function putOnce(
  store: ObjectStore,
  key: string,
  body: () => ObjectBody | Promise<ObjectBody>,
  check: { headerBytes: number; isSame: (header: Uint8Array, size: number) => boolean },
  options: { clock: Clock; signal: AbortSignal },
): Promise<void> {
  const { clock, signal } = options;
  let delayMs: number = limits.logRetryDelayMsMin;
  while ((await putDurably(store, key, body, options)) === "exists") {
    const found = await store
      .range(key, { offset: 0, length: check.headerBytes }, { signal })
      .catch((error: unknown) => {
        signal.throwIfAborted();
        if (error instanceof SystemError && PASSING.has(error.code)) return undefined;
        throw error;
      });
    if (found !== undefined) {
      if (check.isSame(found.bytes, found.size)) return;
      throw new SystemError("object_foreign", `Cannot write ${key}: another file is there`, {
        hint: "Two writers share this prefix, or the object was changed. Nothing was overwritten.",
      });
    }
    await sleep(clock, delayMs, signal);
    delayMs = Math.min(delayMs * 2, limits.logRetryDelayMsMax);
  }
}

export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const stop = (): void => {
      cancel();
      reject(signal.reason as Error);
    };
    const cancel = clock.after(ms, () => {
      signal.removeEventListener("abort", stop);
      resolve();
    });
    signal.addEventListener("abort", stop, { once: true });
  });
}
