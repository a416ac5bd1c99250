import { expect, test } from "bun:test";
import { LogGrowth } from "./snapshot-cadence.ts";

const CADENCE = { entries: 100, logBytes: 1_000_000, stateShare: 0.5 };

/** Applies entries of that size until a snapshot is due, at most `max`. */
function untilDue(growth: LogGrowth, bytes: number, max = 100_000): number {
  for (let count = 0; ; count++) {
    if (growth.due || count === max) return count;
    growth.applied(bytes);
  }
}

test("a small state is written every so many entries, or when few of them are large", () => {
  const growth = new LogGrowth(CADENCE, 0);
  expect(untilDue(growth, 10)).toBe(100);
  growth.taken();
  expect(growth.due).toBe(false);
  expect(untilDue(growth, 100_000)).toBe(10);
});

test("a large state is written only when the log has grown in proportion, so all snapshots together stay linear", () => {
  const growth = new LogGrowth(CADENCE, 0);
  const entry = 1_000;
  let state = 0;
  let log = 0;
  let written = 0;
  // A state that grows by all that is logged, as when tenants are created.
  for (let i = 0; i < 20; i++) {
    const entries = untilDue(growth, entry);
    log += entries * entry;
    state = log;
    written += state;
    growth.taken();
    growth.written(state);
  }
  expect(log).toBeGreaterThan(100 * 100 * entry);
  expect(written / log).toBeLessThan(5);
});

test("a member that starts from a snapshot knows how large it is", () => {
  expect(untilDue(new LogGrowth(CADENCE, 10_000_000), 744)).toBe(5_000);
});
