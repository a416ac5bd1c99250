/** Time and deferral, injected so that a simulator can own both. */
export interface Clock {
  /** Wall clock, for timestamps that are kept. */
  nowMs(): number;
  /** Never goes back, for durations. */
  monotonicMs(): number;
  /** @returns a function that cancels */
  after(delayMs: number, run: () => void): () => void;
  /** Runs when the event loop has handed out what it has now: several commits of one turn share a flush. */
  soon(run: () => void): void;
  /** In [0, 1). */
  random(): number;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  soon: (run) => void setImmediate(run),
  random: () => Math.random(),
};
