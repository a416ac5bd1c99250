import { describe, expect, test } from "bun:test";
import { pino } from "pino";
import type { Revision } from "../../shared/ids.ts";
import { type Clock, systemClock } from "../clock.ts";
import { Compacted, type Kv, type RangeOptions, type ReplicatedStore } from "../store/contract.ts";
import { followStore, loadTable } from "./follow.ts";
import type { Key } from "./keys.ts";
import { Table } from "./table.ts";

const rev = (value: number): Revision => value as Revision;
const key = (name: string): Key<unknown> => name as Key<unknown>;
const log = pino({ level: "silent" });

/** Answers from these rows at once, a few to a page, as an engine's memory does. */
function storeOf(rows: readonly Kv[], pageRows: number, at: () => Revision) {
  return {
    range: (_: string, { from = "" }: RangeOptions = {}) => {
      const left = rows.filter((row) => row.key > from);
      const kvs = left.slice(0, pageRows);
      return Promise.resolve({
        kvs,
        rev: at(),
        ...(left.length > pageRows ? { next: kvs.at(-1)!.key } : {}),
      });
    },
  } as unknown as ReplicatedStore;
}

/** What is done in each of its sleeps. */
function pausing(pause: () => void): Clock {
  return { ...systemClock, sleep: (ms, signal) => (pause(), systemClock.sleep(ms, signal)) };
}

const rowsOf = (...names: string[]): Kv[] =>
  names.sort().map((name) => ({ key: name, value: name, modRev: rev(1) }));

describe("loadTable", () => {
  test("gives way between pages; until all is there the table is what it was", async () => {
    const table = new Table();
    table.load(rowsOf("old"), rev(1));
    const seen: unknown[] = [];
    const clock = pausing(() => seen.push(table.get(key("old")), table.get(key("a"))));
    let at = 7;
    const store = storeOf(rowsOf("a", "b", "c", "d", "e"), 2, () => rev(at++));
    await loadTable({ store, table, clock }, new AbortController().signal);
    expect(seen).toEqual(["old", undefined, "old", undefined]);
    expect(table.get(key("old"))).toBeUndefined();
    expect(table.rows().map((row) => row.key)).toEqual(["a", "b", "c", "d", "e"]);
    // Of the first page: what changed while the others were read is heard again.
    expect(table.revision).toBe(rev(7));
  });

  test("reads all audit entries at one revision, since what is only counted cannot be told apart later", async () => {
    const table = new Table();
    const audit = Array.from({ length: 9 }, (_, i) => `audit/${i}`);
    let pauses = 0;
    const clock = pausing(() => void (pauses += 1));
    const store = storeOf(rowsOf(...audit, "blocks", "x", "y"), 2, () => rev(3));
    await loadTable({ store, table, clock }, new AbortController().signal);
    expect(table.auditEntries).toBe(9);
    expect(pauses).toBe(1);
  });

  test("ends with its signal, and leaves the table alone", async () => {
    const table = new Table();
    const stop = new AbortController();
    const clock = pausing(() => stop.abort(new Error("stopped")));
    const store = storeOf(rowsOf("a", "b", "c"), 1, () => rev(3));
    await expect(loadTable({ store, table, clock }, stop.signal)).rejects.toThrow("stopped");
    expect(table.rows()).toEqual([]);
  });
});

test("a state that cannot be loaded is tried again after a pause, not in a loop that lets nobody else in", async () => {
  const stop = new AbortController();
  let attempts = 0;
  let pauses = 0;
  const store = {
    watch: () => ({
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Compacted(rev(9))) }),
    }),
    range: () => {
      if (++attempts >= 20) stop.abort(new Error("enough"));
      return Promise.reject(new Error("the member stopped"));
    },
  } as unknown as ReplicatedStore;
  const clock: Clock = {
    ...systemClock,
    sleep: () => {
      if (++pauses >= 3) stop.abort(new Error("enough"));
      return Promise.resolve();
    },
  };
  await followStore({ store, table: new Table(), clock, log }, stop.signal);
  expect({ attempts, pauses }).toEqual({ attempts: 3, pauses: 3 });
});
