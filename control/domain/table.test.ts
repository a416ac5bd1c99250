import { describe, expect, test } from "bun:test";
import type { Revision } from "../../shared/ids.ts";
import type { RouteChange } from "../../shared/protocol/internal.ts";
import type { Change } from "../store/contract.ts";
import { Domain, epoch, tenantId } from "./domain-fixture.ts";
import type { Key } from "./keys.ts";
import { applyReports } from "./report-tenants.ts";
import { RouteFeed, type RouteUpdate } from "./route-feed.ts";
import { Table } from "./table.ts";
import { TableWaiters } from "./wait.ts";

const rev = (value: number): Revision => value as Revision;
const key = (name: string): Key<unknown> => name as Key<unknown>;
const putAt = (at: number, name: string, value: unknown): Change => ({
  rev: rev(at),
  kind: "put",
  kv: { key: name, value, modRev: rev(at) },
});

describe("Table", () => {
  test("a page that was read later than the first is not set back by the changes between", () => {
    const table = new Table();
    table.load([{ key: "x", value: "new", modRev: rev(5) }], rev(3));
    table.apply([putAt(4, "x", "old")]);
    table.apply([{ rev: rev(5), kind: "delete", key: "x" }]);
    expect(table.get(key("x"))).toBe("new");
    expect(table.revision).toBe(rev(5));
    table.apply([{ rev: rev(6), kind: "delete", key: "x" }]);
    expect(table.get(key("x"))).toBeUndefined();
  });

  test("knows who owns what through every change of owner", () => {
    const domain = new Domain();
    const old = domain.register("1");
    const id = domain.create("a");
    domain.assign(id);
    expect([...domain.table.tenantsOf(old)]).toEqual([id]);
    domain.die(old);
    domain.seal(old, 3);
    const next = domain.register("2");
    domain.assign(id);
    expect([...domain.table.tenantsOf(old)]).toEqual([]);
    expect([...domain.table.tenantsOf(next)]).toEqual([id]);
  });
});

describe("TableWaiters", () => {
  test("wakes for its key, for its kind and for its revision only; an abort throws its reason", async () => {
    const table = new Table();
    const waiters = new TableWaiters(table);
    const stop = new AbortController();
    const woken: string[] = [];
    const wait = async (name: string, promise: Promise<void>): Promise<void> => {
      await promise;
      woken.push(name);
    };
    const all = [
      wait("key", waiters.changed(["worker/1"], stop.signal)),
      wait("kind", waiters.changed(["worker/"], stop.signal)),
      wait("revision", waiters.reached(rev(2), stop.signal)),
      wait("other", waiters.changed(["worker/2"], stop.signal)).catch(() => woken.push("aborted")),
    ];
    table.apply([putAt(1, "worker/1", { state: "live" })]);
    await Promise.resolve();
    await Promise.resolve();
    expect(woken.toSorted()).toEqual(["key", "kind"]);
    table.progress(rev(2));
    stop.abort(new Error("stop"));
    await Promise.all(all);
    expect(woken.toSorted()).toEqual(["aborted", "key", "kind", "revision"]);
  });
});

test.each([[1], [3], [9]])(
  "TableWaiters wakes all whose revision is reached, %i at a time, and nobody else",
  async (step) => {
    const table = new Table();
    table.progress(rev(100));
    const waiters = new TableWaiters(table);
    const stop = new AbortController();
    const woken: number[] = [];
    const waits = Array.from({ length: 14 }, (_, i) =>
      waiters.reached(rev(100 + (i >> 1)), stop.signal).then(
        () => woken.push(100 + (i >> 1)),
        () => undefined,
      ),
    );
    for (let at = 100 + step; at <= 100 + 2 * step; at += step) {
      table.progress(rev(at));
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      const expected = [100, 101, 102, 103, 104, 105, 106].filter((one) => one <= at);
      expect(woken.toSorted((a, b) => a - b)).toEqual(expected.flatMap((one) => [one, one]));
    }
    stop.abort();
    await Promise.all(waits);
  },
);

test("TableWaiters wakes everyone when the table was loaded anew: what changed meanwhile is unknown", async () => {
  const table = new Table();
  const waiters = new TableWaiters(table);
  const signal = AbortSignal.timeout(5_000);
  const all = [waiters.changed(["worker/1"], signal), waiters.changed(["tenant/"], signal)];
  table.load([], rev(4));
  await Promise.all(all);
});

describe("RouteFeed", () => {
  function heard(): { domain: Domain; feed: RouteFeed; changes: () => RouteChange[] } {
    const domain = new Domain();
    const feed = new RouteFeed(domain.table);
    let updates: RouteUpdate[] = [];
    feed.read(
      rev(0),
      (update) => updates.push(update),
      () => undefined,
    );
    const changes = (): RouteChange[] => {
      const all = updates.flatMap((update) => update.changes);
      updates = [];
      return all;
    };
    return { domain, feed, changes };
  }

  test("tells creation, assignment, and the loss of the worker to all of its tenants", () => {
    const { domain, changes } = heard();
    const id = domain.create("a");
    expect(changes()).toMatchObject([{ slug: "a", epoch: 0, state: "created" }]);
    const worker = domain.register("1");
    expect(changes()).toEqual([]);
    domain.assign(id);
    expect(changes()).toMatchObject([{ epoch: 1, worker: { incarnation: worker } }]);
    domain.die(worker);
    const [lost] = changes();
    expect(lost).toMatchObject({ slug: "a", epoch: 1 });
    expect(lost).not.toHaveProperty("worker");
  });

  test("says nothing of positions", () => {
    const { domain, changes } = heard();
    const worker = domain.register("1");
    const id = domain.create("a");
    domain.assign(id);
    changes();
    const base = { "data.db": { txid: 3 as never, entryHash: "" } };
    domain.run(
      applyReports(domain.table, domain.meta(), worker, [
        { tenant: id, epoch: epoch(1), kind: "materialised", base },
      ]),
    );
    expect(changes()).toEqual([]);
  });

  test("repeats what a reader missed, refuses a past it does not have, ends readers when the state was loaded anew", () => {
    const { domain, feed } = heard();
    domain.create("a", tenantId("a"));
    domain.create("b", tenantId("b"));
    const late: RouteUpdate[] = [];
    let ended = 0;
    const read = (from: number): unknown =>
      feed.read(
        rev(from),
        (update) => late.push(update),
        () => ended++,
      );
    read(1);
    expect(late.map((update) => update.changes.map((change) => change.slug as string))).toEqual([["b"]]);
    domain.table.load([], rev(9));
    expect(ended).toBe(1);
    expect(read(8)).toBeUndefined();
    expect(read(9)).toBeDefined();
  });
});
