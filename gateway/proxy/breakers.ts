import { LRUCache } from "lru-cache";
import type { Incarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";

interface Breaker {
  /** Failures one after another. */
  failures: number;
  /** Nobody tries before this. */
  openUntilMs: number;
  openMs: number;
}

/**
 * A circuit breaker per worker process: after a few failed connections in a row nobody tries for a while, then one at a time.
 * It spares waiting requests the time that a dead machine takes to answer nothing; where they go instead control says.
 */
export class Breakers {
  readonly #breakers = new LRUCache<Incarnation, Breaker>({ max: limits.breakersMax });
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** False while this worker should not be tried. True lets one caller try at a time after a break. */
  admits(incarnation: Incarnation): boolean {
    if (this.#breakers.size === 0) return true;
    const breaker = this.#breakers.get(incarnation);
    if (breaker === undefined || breaker.failures < limits.breakerFailuresMax) return true;
    if (this.#nowMs() < breaker.openUntilMs) return false;
    breaker.openUntilMs = this.#nowMs() + breaker.openMs;
    return true;
  }

  worked(incarnation: Incarnation): void {
    if (this.#breakers.size > 0) this.#breakers.delete(incarnation);
  }

  failed(incarnation: Incarnation): void {
    const known = this.#breakers.get(incarnation);
    const breaker = known ?? { failures: 0, openUntilMs: 0, openMs: limits.breakerOpenMsMin / 2 };
    breaker.failures += 1;
    if (breaker.failures >= limits.breakerFailuresMax) {
      breaker.openMs = Math.min(breaker.openMs * 2, limits.breakerOpenMsMax);
      breaker.openUntilMs = this.#nowMs() + breaker.openMs;
    }
    this.#breakers.set(incarnation, breaker);
  }
}
