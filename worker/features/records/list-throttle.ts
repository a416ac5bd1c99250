import { limits } from "../../../shared/limits.ts";

/**
 * Tenant slot. Searches under a list rule that find nothing could probe hidden rows by their timing: after a few within
 * the window each costs a random delay.
 */
export const listThrottle = { create: (): ListThrottle => new ListThrottle() };

class ListThrottle {
  readonly #tries = new Map<string, { count: number; endsMs: number }>();

  delayMs(clientIp: string, collectionId: string, nowMs: number): number {
    const key = `${collectionId} ${clientIp}`;
    const known = this.#tries.get(key);
    if (known === undefined || known.endsMs <= nowMs) {
      if (this.#tries.size >= limits.listThrottleClientsMax) this.#tries.clear();
      this.#tries.set(key, { count: 1, endsMs: nowMs + limits.listThrottleWindowMs });
      return 0;
    }
    known.count += 1;
    return known.count > limits.listThrottleTries ? Math.ceil(Math.random() * limits.listThrottleMsMax) : 0;
  }
}
