import { heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import type { Revision } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { compareByteOrder } from "./byte-order.ts";
import { commandOf, decodeCommand, encodeCommand, type Command } from "./command.ts";
import { ownText } from "./own-text.ts";
import { StateMachine } from "./state-machine.ts";
import { TextKv } from "./text-kv.ts";
import { WatchHistory } from "./watch-history.ts";

const key = fc.constantFrom("a", "a/b", "a-b", "b", "é", "\uffee", "\u{1f600}", "\u{1f600}x");
const command = fc.record({
  id: fc.integer({ min: 0, max: 60 }).map((n) => `id${n}`),
  cmp: fc.array(fc.record({ key, modRev: fc.integer({ min: 0, max: 30 }) }), { maxLength: 1 }),
  then: fc.uniqueArray(fc.record({ key, text: fc.option(fc.constantFrom("1", '"x"')) }), {
    selector: (op) => op.key,
    maxLength: 3,
  }),
});

/** The same promises in the plainest way. */
class Model {
  rev = 0;
  rows = new Map<string, { text: string; modRev: number }>();
  results = new Map<string, unknown>();

  apply(given: Command): unknown {
    const known = this.results.get(given.id);
    if (known !== undefined) return known;
    const result = this.#fresh(given);
    this.results.set(given.id, result);
    return result;
  }

  #fresh(given: Command): unknown {
    for (const c of given.cmp) {
      const row = this.rows.get(c.key);
      if ((row?.modRev ?? 0) === c.modRev) continue;
      return { ok: false, rev: this.rev, seen: row === undefined ? [] : [{ key: c.key, ...row }] };
    }
    const changes = given.then.filter((op) => op.text !== null || this.rows.has(op.key));
    if (changes.length > 0) this.rev += 1;
    for (const op of changes) {
      if (op.text === null) this.rows.delete(op.key);
      else this.rows.set(op.key, { text: op.text, modRev: this.rev });
    }
    return { ok: true, rev: this.rev };
  }
}

async function copyOf(machine: StateMachine): Promise<StateMachine> {
  const copy = new StateMachine();
  await copy.restore([...machine.snapshot()]);
  return copy;
}

describe("StateMachine", () => {
  test("does what the plainest model does, also from a snapshot taken anywhere", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 80 }), fc.nat(80), async (commands, snapshotAt) => {
        const model = new Model();
        let machine = new StateMachine();
        for (const [i, given] of commands.entries()) {
          if (i === snapshotAt) machine = await copyOf(machine);
          expect(machine.apply(decodeCommand(encodeCommand(given)))).toEqual(model.apply(given) as never);
        }
        expect(machine.revision).toBe(model.rev);
        const sorted = [...model.rows.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(machine.range("", undefined, 100).rows.map((row) => row.key)).toEqual(sorted);
        expect(machine.range("a", "a-b", 100).rows.map((row) => row.key)).toEqual(
          sorted.filter((k) => k.startsWith("a") && Buffer.compare(Buffer.from(k), Buffer.from("a-b")) > 0),
        );
      }),
      { numRuns: 300 },
    );
  });

  test("a snapshot is of the moment it was asked for, however late it is read", async () => {
    const machine = new StateMachine();
    const put = (id: string, text: string): unknown =>
      machine.apply({ id, cmp: [], then: [{ key: "k", text }] });
    put("1", "1");
    const snapshot = machine.snapshot();
    put("2", "2");
    const copy = new StateMachine();
    await copy.restore(snapshot);
    expect(copy.get("k")).toMatchObject({ key: "k", text: "1", modRev: 1 });
    expect(machine.get("k")?.text).toBe("2");
    expect(copy.history.since(0, 10)).toBeUndefined();
    expect(copy.history.since(1, 10)).toEqual([]);
  });

  test("a cut snapshot is refused, and the state stays as it was", async () => {
    const machine = new StateMachine();
    machine.apply({ id: "1", cmp: [], then: [{ key: "k", text: "1" }] });
    const [header] = machine.snapshot();
    await expect(machine.restore([header!])).rejects.toThrow("not complete");
    await expect(machine.restore([])).rejects.toThrow("not complete");
    expect(machine.get("k")?.text).toBe("1");
  });

  test("forgets the oldest ids first, by number and by size", () => {
    const machine = new StateMachine();
    const run = (id: string): unknown => machine.apply({ id, cmp: [], then: [{ key: "k", text: "1" }] });
    for (let i = 0; i < limits.txnRememberedMax; i++) run(`id${i}`);
    expect(run("id0")).toEqual({ ok: true, rev: 1 });
    run("one more");
    expect(run("id1")).toEqual({ ok: true, rev: 2 });
    expect(run("id0")).toEqual({ ok: true, rev: limits.txnRememberedMax + 2 });
    const large = "x".repeat(1_000_000);
    machine.apply({ id: "large", cmp: [], then: [{ key: "large", text: large }] });
    const refused = (id: string): { rev: number } =>
      machine.apply({ id, cmp: [{ key: "large", modRev: 0 }], then: [] });
    const first = refused("r0");
    for (let i = 1; i < 20; i++) refused(`r${i}`);
    run("moves the revision");
    expect(refused("r19")).toEqual(first);
    expect(refused("r0").rev).toBeGreaterThan(first.rev);
  });
});

test("ownText is the same text, whatever it holds and however long it is", () => {
  for (const text of [
    "",
    "a",
    "\ufeffbom",
    "é\u{1f600}",
    "x".repeat(5_461),
    "é".repeat(5_462),
    "y".repeat(20_000),
  ]) {
    expect(ownText(text)).toBe(text);
  }
});

test("what stays of a txn does not keep the rest of it in memory", async () => {
  const live = (): number => {
    Bun.gc(true);
    return heapStats().heapSize;
  };
  const machine = new StateMachine();
  const run = (id: string, then: { key: string; text: string | null }[]): unknown =>
    machine.apply(decodeCommand(encodeCommand({ id, cmp: [], then })));
  const before = live();
  const others = (text: string | null) =>
    Array.from({ length: 60 }, (_, i) => ({ key: `one of many others ${i}`, text }));
  for (let i = 0; i < 3_000; i++) {
    const row = { key: `a row that stays, number ${i}`, text: `"of more than a few bytes, ${i}"` };
    run(`a transaction's id, ${i}`, [row, ...others(JSON.stringify(`${i}`.padStart(100, "x")))]);
  }
  run("last", others(null));
  // The history has forgotten all that; the results are still remembered, by their ids.
  const few = Array.from({ length: 100 }, (_, i) => ({ key: `k${i}`, text: "1" }));
  for (let i = 0; i <= limits.watchHistoryMax / few.length; i++) run(`${i}`, few);
  expect(machine.size).toBe(3_100);
  // Without care 13 MB and more.
  expect(live() - before).toBeLessThan(6_000_000);
  const restored = await copyOf(machine);
  expect(restored.size).toBe(3_100);
});

test("compareByteOrder is the order of the UTF-8 bytes", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 6 });
  const odd = fc.array(fc.constantFrom("\u{1f600}", "\uffee", "\ue000", "\ud7ff", "a"), { maxLength: 4 });
  fc.assert(
    fc.property(
      fc.oneof(
        text,
        odd.map((parts) => parts.join("")),
      ),
      fc.oneof(
        text,
        odd.map((parts) => parts.join("")),
      ),
      (a, b) => {
        expect(Math.sign(compareByteOrder(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      },
    ),
    { numRuns: 500 },
  );
});

test("WatchHistory keeps the newest changes and says what is gone", () => {
  const history = new WatchHistory(5, 10);
  expect(history.since(4, 10)).toBeUndefined();
  for (let rev = 6; rev <= 3_000; rev++) {
    history.append({
      rev,
      changes: [new TextKv("a", "1", rev), { key: "b", text: null }],
    });
  }
  expect(history.after).toBe(2_995);
  expect(history.since(2_994, 10)).toBeUndefined();
  expect(history.since(2_995, 10)?.map((group) => group.rev)).toEqual([2_996, 2_997, 2_998, 2_999, 3_000]);
  expect(history.since(2_997, 2)?.map((group) => group.rev)).toEqual([2_998, 2_999]);
  expect(history.since(3_000, 10)).toEqual([]);
});

test("a history of a large state keeps more: who loads all of that meanwhile goes on where it began", () => {
  const history = new WatchHistory(0, 10);
  for (let rev = 1; rev <= 50; rev++) history.append({ rev, changes: [new TextKv("a", "1", rev)] }, 30.5);
  expect(history.after).toBe(20);
  history.append({ rev: 51, changes: [new TextKv("a", "1", 51)] }, 2);
  expect(history.after).toBe(41);
});

test("the history of a state machine grows with its rows", () => {
  const machine = new StateMachine();
  const rows = 2 * limits.watchHistoryMax * (1 / limits.watchHistoryRowsShare);
  const perTxn = 1_000;
  for (let i = 0; i < rows; i += perTxn) {
    const then = Array.from({ length: perTxn }, (_, at) => ({ key: `${i + at}`, text: "1" }));
    machine.apply({ id: `${i}`, cmp: [], then });
  }
  expect(machine.revision - machine.history.after).toBe((2 * limits.watchHistoryMax) / perTxn);
});

test("commandOf checks before anything is written", () => {
  const txn = {
    id: "i",
    cmp: [{ key: "k", modRev: 1 as Revision }],
    then: [{ kind: "delete" as const, key: "k" }],
  };
  expect(commandOf(txn)).toEqual({
    id: "i",
    cmp: [{ key: "k", modRev: 1 }],
    then: [{ key: "k", text: null }],
  });
  expect(() => commandOf({ ...txn, id: "" })).toThrow("its id must be");
  expect(() => commandOf({ ...txn, cmp: [{ key: "k", modRev: -1 as Revision }] })).toThrow("not a revision");
});
