import { limits } from "../../shared/limits.ts";
import type { Clock } from "./clock.ts";

/** One timer for many things that are due at some time; none when nothing is. */
export class WorkTimer {
  readonly #clock: Clock;
  readonly #run: () => void;
  #dueMs = Infinity;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, run: () => void) {
    this.#clock = clock;
    this.#run = run;
  }

  /** Runs at that monotonic time at the latest. */
  by(dueMs: number): void {
    if (dueMs >= this.#dueMs) return;
    this.#cancel?.();
    this.#dueMs = dueMs;
    // Early is harmless: who runs looks what is due.
    const delayMs = Math.min(Math.max(0, dueMs - this.#clock.monotonicMs()), limits.timerMsMax);
    this.#cancel = this.#clock.after(delayMs, () => {
      this.stop();
      this.#run();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#dueMs = Infinity;
  }
}
