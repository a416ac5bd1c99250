import { describe, expect, test } from "bun:test";
import { Random } from "../random.ts";
import { checkLinearizable } from "./check.ts";
import type { Event, Operation, Value } from "./history.ts";

const NEVER = Number.POSITIVE_INFINITY;
const event = (calledAt: number, returnedAt: number, operation: Operation, key = "k"): Event => {
  return { key, client: "c", operation, calledAt, returnedAt };
};
const write = (calledAt: number, returnedAt: number, value: string): Event =>
  event(calledAt, returnedAt, { kind: "write", value });
const read = (calledAt: number, returnedAt: number, value: Value): Event =>
  event(calledAt, returnedAt, { kind: "read", value });
const swap = (calledAt: number, returnedAt: number, expected: Value, value: string): Event =>
  event(calledAt, returnedAt, { kind: "swap", expected, value });
const refused = (calledAt: number, returnedAt: number, expected: Value, seen: Value): Event =>
  event(calledAt, returnedAt, { kind: "refused", expected, seen });

const GOOD: Record<string, Event[]> = {
  nothing: [],
  "one after the other": [write(0, 1, "a"), read(2, 3, "a"), write(4, 5, "b"), read(6, 7, "b")],
  "a read beside a write sees either": [write(0, 1, "a"), write(2, 9, "b"), read(3, 4, "a"), read(5, 6, "b")],
  "writes beside each other, in the order that reads tell": [
    write(0, 9, "a"),
    write(0, 9, "b"),
    read(1, 2, "b"),
    read(3, 4, "a"),
    read(10, 11, "a"),
  ],
  "a lost write that happened": [write(0, NEVER, "a"), read(1, 2, null), read(3, 4, "a")],
  "a lost write that never happened": [write(0, NEVER, "a"), read(1, 2, null), read(3, 4, null)],
  "a lost write that happens late": [
    write(0, NEVER, "a"),
    write(1, 2, "b"),
    read(3, 4, "b"),
    read(5, 6, "a"),
  ],
  "swaps in a chain": [swap(0, 9, "a", "b"), swap(0, 9, null, "a"), swap(0, 9, "b", "c"), read(10, 11, "c")],
  "a refusal shows what was there": [write(0, 1, "a"), refused(2, 3, null, "a"), read(4, 5, "a")],
  "touching in one moment is beside each other": [write(0, 1, "a"), read(1, 2, null)],
  "keys do not order each other": [
    event(0, 1, { kind: "write", value: "a" }, "x"),
    event(2, 3, { kind: "read", value: null }, "y"),
  ],
};

const BAD: Record<string, Event[]> = {
  "a lost update": [write(0, 1, "a"), read(2, 3, null)],
  "a stale read": [write(0, 1, "a"), write(2, 3, "b"), read(4, 5, "a")],
  "reads that go back": [write(0, 1, "a"), write(2, 9, "b"), read(3, 4, "b"), read(5, 6, "a")],
  "a value from nowhere": [write(0, 1, "a"), read(2, 3, "z")],
  "a read before its write": [read(0, 1, "a"), write(2, 3, "a")],
  "two readers that disagree on the order": [
    write(0, 9, "a"),
    write(0, 9, "b"),
    read(1, 2, "a"),
    read(3, 4, "b"),
    read(5, 6, "a"),
  ],
  "two swaps of one value": [write(0, 1, "a"), swap(2, 9, "a", "b"), swap(2, 9, "a", "c")],
  "a swap that did not look": [write(0, 1, "a"), write(2, 3, "b"), swap(4, 5, "a", "c")],
  "a refusal without reason": [write(0, 1, "a"), refused(2, 3, "a", "a")],
  "a refusal that shows the past": [write(0, 1, "a"), write(2, 3, "b"), refused(4, 5, null, "a")],
  "a lost write that happened twice": [
    write(0, NEVER, "a"),
    read(1, 2, "a"),
    write(3, 4, "b"),
    read(5, 6, "a"),
  ],
  "an acknowledged write that went away": [write(0, 1, "a"), write(2, NEVER, "b"), read(3, 4, null)],
  "good on one key, bad on the other": [
    event(0, 1, { kind: "write", value: "a" }, "x"),
    event(0, 1, { kind: "write", value: "b" }, "y"),
    event(2, 3, { kind: "read", value: null }, "y"),
  ],
};

describe("checkLinearizable", () => {
  for (const [name, events] of Object.entries(GOOD)) {
    test(`accepts: ${name}`, () => expect(checkLinearizable(events)).toEqual({ linearizable: true }));
  }
  for (const [name, events] of Object.entries(BAD)) {
    test(`rejects: ${name}`, () => {
      const verdict = checkLinearizable(events);
      expect(verdict.linearizable).toBe(false);
      expect(verdict.undecided).toBeUndefined();
    });
  }

  test("accepts whatever a real register did, and rejects it with one answer changed", () => {
    const random = new Random(7);
    let rejected = 0;
    for (let round = 0; round < 200; round++) {
      const events = simulate(random, 60);
      expect(checkLinearizable(events).linearizable).toBe(true);
      const reads = events.filter(({ operation }) => operation.kind === "read");
      const spoiled = random.pick(reads);
      const forgery: Event = { ...spoiled, operation: { kind: "read", value: "never written" } };
      const forged = events.map((one) => (one === spoiled ? forgery : one));
      rejected += checkLinearizable(forged).linearizable ? 0 : 1;
    }
    expect(rejected).toBe(200);
  });

  test("agrees with trying all orders, on small histories of every kind", () => {
    const random = new Random(11);
    const verdicts = { good: 0, bad: 0 };
    for (let round = 0; round < 3_000; round++) {
      const events = garble(random, simulate(random, 6));
      const expected = byAllOrders(events);
      expect([round, checkLinearizable(events).linearizable]).toEqual([round, expected]);
      verdicts[expected ? "good" : "bad"] += 1;
    }
    expect(verdicts.good).toBeGreaterThan(300);
    expect(verdicts.bad).toBeGreaterThan(300);
  });

  test("a long history of several clients takes a moment", () => {
    expect(checkLinearizable(simulate(new Random(3), 3_000)).linearizable).toBe(true);
  });

  test("says when it gave up", () => {
    expect(checkLinearizable(simulate(new Random(3), 100), 10)).toMatchObject({ undecided: true });
  });
});

/** Four clients on a register; each operation takes effect at one moment of its time. */
function simulate(random: Random, count: number): Event[] {
  const free = [0, 0, 0, 0];
  const pending: { at: number; client: number; calledAt: number; returnedAt: number; lost: boolean }[] = [];
  for (let i = 0; i < count; i++) {
    const client = random.below(4);
    const calledAt = free[client]! + 0.1 + random.next() * 3;
    const returnedAt = calledAt + 0.1 + random.next() * 6;
    free[client] = returnedAt;
    const at = calledAt + (returnedAt - calledAt) * random.next();
    pending.push({ at, client, calledAt, returnedAt, lost: random.chance(0.05) });
  }
  pending.sort((a, b) => a.at - b.at);
  let state: Value = null;
  return pending.map(({ client, calledAt, returnedAt, lost }, i): Event => {
    const dice = random.next();
    let operation: Operation;
    if (dice < 0.4) operation = { kind: "read", value: state };
    else if (dice < 0.7) operation = { kind: "write", value: `v${i}` };
    else if (dice < 0.9) operation = { kind: "swap", expected: state, value: `v${i}` };
    else operation = { kind: "refused", expected: "other", seen: state };
    if (operation.kind === "write" || operation.kind === "swap") state = operation.value;
    const unknown = lost && (operation.kind === "write" || operation.kind === "swap");
    return { key: "k", client: `c${client}`, operation, calledAt, returnedAt: unknown ? NEVER : returnedAt };
  });
}

function garble(random: Random, events: Event[]): Event[] {
  if (random.chance(0.3)) return events;
  const values: Value[] = [
    null,
    ...events.flatMap(({ operation }) => ("value" in operation ? [operation.value] : [])),
  ];
  const victim = random.pick(events);
  return events.map((one) => {
    if (one !== victim) return one;
    if (one.operation.kind === "read")
      return { ...one, operation: { kind: "read", value: random.pick(values) } };
    return { ...one, calledAt: Math.max(0, one.calledAt - 5), returnedAt: one.calledAt + 0.05 };
  });
}

function byAllOrders(events: readonly Event[], state: Value = null): boolean {
  if (events.every(({ returnedAt }) => returnedAt === NEVER)) return true;
  const firstReturn = Math.min(...events.map(({ returnedAt }) => returnedAt));
  return events.some((one, i) => {
    if (one.calledAt > firstReturn) return false;
    const { operation } = one;
    let after: Value;
    if (operation.kind === "read") {
      if (operation.value !== state) return false;
      after = state;
    } else if (operation.kind === "write") after = operation.value;
    else if (operation.kind === "swap") {
      if (operation.expected !== state) return false;
      after = operation.value;
    } else {
      if (operation.expected === state || operation.seen !== state) return false;
      after = state;
    }
    return byAllOrders([...events.slice(0, i), ...events.slice(i + 1)], after);
  });
}
