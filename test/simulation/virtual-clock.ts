import { drainMicrotasks } from "bun:jsc";
import type { Clock } from "../../control/raft/driver/clock.ts";

/** Time that passes only when told to, one timer after the other. */
export class VirtualClock implements Clock {
  #now = 0;
  #sequence = 0;
  #timers: Timer[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, call: () => void): () => void {
    const timer: Timer = { at: this.#now + delayMs, sequence: this.#sequence++, call };
    // Kept in order: the next one is the last.
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (before(timer, this.#timers[middle]!)) low = middle + 1;
      else high = middle;
    }
    this.#timers.splice(low, 0, timer);
    return () => {
      timer.call = undefined;
    };
  }

  /** Until the time has come; after each timer everything that it set off runs to its next wait. */
  runUntil(endMs: number): void {
    drainMicrotasks();
    for (;;) {
      const next = this.#timers.at(-1);
      if (next === undefined || next.at > endMs) break;
      this.#timers.pop();
      if (next.call === undefined) continue;
      this.#now = next.at;
      next.call();
      // Nothing in a simulation waits for the real world, so this is all that can happen now.
      drainMicrotasks();
    }
    this.#now = endMs;
  }
}

interface Timer {
  at: number;
  sequence: number;
  /** Undefined: it was cancelled. */
  call: (() => void) | undefined;
}

/** All promise callbacks that are due have run, and what waits for the event loop had its turn. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}
