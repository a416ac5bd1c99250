import { limits } from "../../../shared/limits.ts";
import { FixedWindows } from "../../pb/fixed-windows.ts";

/**
 * Tenant slot. Searches under a list rule that find nothing could probe hidden rows by their timing: after a few within
 * the window each costs a random delay.
 */
export const listThrottle = { create: (): ListThrottle => new ListThrottle() };

class ListThrottle {
  readonly #tries = new FixedWindows(limits.clientWindowsMax);

  delayMs(clientIp: string, collectionId: string, nowMs: number): number {
    const { listThrottleTries, listThrottleWindowMs, listThrottleMsMax } = limits;
    const isFree = this.#tries.take(
      `${collectionId} ${clientIp}`,
      listThrottleTries,
      listThrottleWindowMs,
      nowMs,
    );
    return isFree ? 0 : Math.ceil(Math.random() * listThrottleMsMax);
  }
}
