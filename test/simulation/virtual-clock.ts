import type { Clock } from "../../control/raft/driver/clock.ts";

/** Time that passes only when told to, one timer after the other. */
export class VirtualClock implements Clock {
  #now = 0;
  #sequence = 0;
  #timers: { at: number; sequence: number; call: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, call: () => void): () => void {
    const timer = { at: this.#now + delayMs, sequence: this.#sequence++, call };
    // Kept in order: the next one is the last.
    let at = this.#timers.length;
    while (at > 0 && before(this.#timers[at - 1]!, timer)) at--;
    this.#timers.splice(at, 0, timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Until the time has come; after each timer everything that it set off runs to its next wait. */
  async runUntil(endMs: number): Promise<void> {
    for (;;) {
      const next = this.#timers.at(-1);
      if (next === undefined || next.at > endMs) break;
      this.#timers.pop();
      this.#now = next.at;
      next.call();
      await settle();
    }
    this.#now = endMs;
  }
}

/** All promise callbacks that are due have run. Nothing in a simulation waits for the real world. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function before(a: { at: number; sequence: number }, b: { at: number; sequence: number }): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}
