import { blockKey } from "../../shared/objects/layout.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../clock.ts";

/** Whether control itself reaches the object store; asked before a worker is given up, and remembered for a moment. */
export class StoreProbe {
  readonly #objects: ObjectStore;
  readonly #clock: Clock;
  #reachedAtMs = Number.NEGATIVE_INFINITY;

  constructor(objects: ObjectStore, clock: Clock) {
    this.#objects = objects;
    this.#clock = clock;
  }

  async reachable(signal: AbortSignal): Promise<boolean> {
    if (this.#clock.monotonicMs() - this.#reachedAtMs < limits.storeProbeFreshMs) return true;
    try {
      await this.#objects.head(blockKey(1), {
        signal: AbortSignal.any([signal, AbortSignal.timeout(limits.storeProbeMs)]),
      });
      this.#reachedAtMs = this.#clock.monotonicMs();
      return true;
    } catch {
      return false;
    }
  }
}
