import type { ObjectBody, ObjectStore } from "../../shared/objects/contract.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "./clock.ts";

/**
 * Creates an object, trying again until the store says how it went. `exists` may be an earlier try of one's own.
 *
 * @param body - made anew for each try, since a stream is read once
 * @throws the signal's reason
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
      // An outage may last: only leaving this worker ends the tries.
      if (signal.aborted) throw error;
    }
    await sleep(clock, delayMs * (0.5 + clock.random() / 2), signal);
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
