import { describe, expect, test } from "bun:test";
import { SystemError, UserError } from "../../shared/errors.ts";
import type { Revision } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { systemClock } from "../clock.ts";
import type { Change, ReplicatedStore, Txn, TxnResult } from "../store/contract.ts";
import type { Key } from "./keys.ts";
import { Runner } from "./runner.ts";
import { Table } from "./table.ts";
import { type Command, draft, put } from "./view.ts";
import { TableWaiters } from "./wait.ts";

const counter = "counter" as Key<number>;

/** A store that applies to the table when told to, with faults at will: for what real engines do only now and then. */
function faulty() {
  const table = new Table();
  const runner = new Runner({
    store: {
      txn: (txn: Txn) => state.txn(txn),
      range: () => Promise.resolve({ kvs: [], rev: state.rev }),
    } as unknown as ReplicatedStore,
    table,
    waiters: new TableWaiters(table),
    clock: systemClock,
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  });
  const state = {
    rev: 0 as Revision,
    ids: [] as string[],
    applied: new Map<string, TxnResult>(),
    pending: [] as Change[][],
    /** Compares by revision of the one key, remembers ids, queues the change for the table. */
    txn: (txn: Txn): Promise<TxnResult> => {
      state.ids.push(txn.id);
      const before = state.applied.get(txn.id);
      if (before !== undefined) return Promise.resolve(before);
      const current = state.pending.flat().at(-1)?.rev ?? table.modRev(counter);
      if (txn.cmp[0]?.modRev !== current) return Promise.resolve({ ok: false, rev: state.rev, seen: [] });
      const rev = ++(state.rev as number) as Revision;
      state.rev = rev;
      const result: TxnResult = { ok: true, rev };
      state.applied.set(txn.id, result);
      const [op] = txn.then;
      if (op?.kind === "put") {
        state.pending.push([{ rev, kind: "put", kv: { key: op.key, value: op.value, modRev: rev } }]);
      }
      queueMicrotask(() => state.deliver());
      return Promise.resolve(result);
    },
    deliver(): void {
      for (const changes of state.pending.splice(0)) table.apply(changes);
    },
  };
  return { table, runner, state };
}

const increment: Command<number> = (view) => {
  const next = (view.get(counter) ?? 0) + 1;
  return { draft: draft(view, [counter], [put(counter, next)]), value: next };
};

describe("Runner", () => {
  test("decides again when others changed what was compared, and loses no increment", async () => {
    const { table, runner } = faulty();
    const values = await Promise.all(Array.from({ length: 8 }, () => runner.run(increment)));
    expect(values.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(table.get(counter)).toBe(8);
  });

  test("an open outcome is retried under the same id, so it happens once", async () => {
    const { table, runner, state } = faulty();
    const apply = state.txn;
    let calls = 0;
    state.txn = async (txn) => {
      const result = await apply(txn);
      if (++calls === 1) throw new SystemError("control_state_unknown", "Cannot tell");
      return result;
    };
    expect(await runner.run(increment)).toBe(1);
    expect(table.get(counter)).toBe(1);
    expect(calls).toBe(2);
    expect(new Set(state.ids).size).toBe(1);
  });

  test("what certainly did not happen is the caller's to see", async () => {
    const { runner, state } = faulty();
    state.txn = () => Promise.reject(new SystemError("control_no_leader", "Cannot"));
    await expect(runner.run(increment)).rejects.toMatchObject({ code: "control_no_leader" });
  });

  test("returns when the own table shows what was done", async () => {
    const { table, runner, state } = faulty();
    const deliver = state.deliver.bind(state);
    state.deliver = () => undefined;
    let done = false;
    const running = runner.run(increment).then(() => (done = true));
    await Bun.sleep(5);
    expect([state.rev, done]).toEqual([1 as Revision, false]);
    deliver();
    await running;
    expect(table.get(counter)).toBe(1);
  });

  test("a refusal that nobody confirms in time is no leader's: nothing was asked that could still happen", async () => {
    const { runner, state } = faulty();
    state.rev = 1 as Revision;
    const refuse: Command<never> = () => ({ reject: new UserError("not_found", "Cannot find it") });
    const stop = new AbortController();
    const running = runner.run(refuse, stop.signal);
    stop.abort(new Error("too late"));
    await expect(running).rejects.toMatchObject({ code: "control_no_leader", retryAfterMs: 1_000 });
  });

  test("a refusal made on an old table is made again on the newest", async () => {
    const { table, runner, state } = faulty();
    const refuseWhileEmpty: Command<string> = (view) =>
      view.get(counter) === undefined
        ? { reject: new UserError("not_found", "Cannot find it") }
        : { settled: "found" };
    await expect(runner.run(refuseWhileEmpty)).rejects.toMatchObject({ code: "not_found" });
    state.rev = 1 as Revision;
    const late = runner.run(refuseWhileEmpty);
    table.apply([{ rev: 1 as Revision, kind: "put", kv: { key: counter, value: 1, modRev: 1 as Revision } }]);
    expect(await late).toBe("found");
  });

  test("gives up after commandRetriesMax lost races", async () => {
    const { runner, state } = faulty();
    let tries = 0;
    state.txn = () => {
      tries++;
      return Promise.resolve({ ok: false, rev: 0 as Revision, seen: [] });
    };
    await expect(runner.run(increment)).rejects.toMatchObject({ code: "overloaded" });
    expect(tries).toBe(limits.commandRetriesMax);
  });
});
