import { limits } from "../../shared/limits.ts";

/**
 * How long this incarnation may answer without asking. Counted on the process's own monotonic clock from the moment the last
 * acknowledged beat was *sent*, so that it always ends before control's own count does (control.md, Liveness).
 */
export class Lease {
  #untilMs = 0;
  readonly #monotonicMs: () => number;

  constructor(monotonicMs: () => number = () => performance.now()) {
    this.#monotonicMs = monotonicMs;
  }

  now(): number {
    return this.#monotonicMs();
  }

  renew(sentMs: number, leaseMs: number = limits.leaseMs): void {
    this.#untilMs = Math.max(this.#untilMs, sentMs + leaseMs);
  }

  get held(): boolean {
    return this.#monotonicMs() < this.#untilMs;
  }
}
