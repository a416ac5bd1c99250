import { limits } from "../../shared/limits.ts";

/**
 * How long this incarnation may answer without asking. Counted on the process's own monotonic clock from the moment the last
 * acknowledged beat was *sent*, so that it always ends before control's own count does (control.md, Liveness).
 */
export class Lease {
  readonly #monotonicMs: () => number;
  /** Where its end stands: memory that a thread may renew it in. */
  readonly #untilMs: Float64Array;

  constructor(
    monotonicMs: () => number = () => performance.now(),
    untilMs: Float64Array = new Float64Array(1),
  ) {
    this.#monotonicMs = monotonicMs;
    this.#untilMs = untilMs;
  }

  now(): number {
    return this.#monotonicMs();
  }

  renew(sentMs: number, leaseMs: number = limits.leaseMs): void {
    this.#untilMs[0] = Math.max(this.#untilMs[0] ?? 0, sentMs + leaseMs);
  }

  get held(): boolean {
    return this.#monotonicMs() < (this.#untilMs[0] ?? 0);
  }
}
