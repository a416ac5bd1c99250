/**
 * The specification of ReplicatedStore as tests. Each engine runs it; a behaviour that is not here is not promised.
 */
import { describe, expect, test } from "bun:test";
import type { Revision } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { type Change, Compacted, type Op, type ReplicatedStore, type TxnResult } from "./contract.ts";

export interface Harness {
  store: ReplicatedStore;
  /** Whether that store is the leader's. */
  leads: boolean;
  /** Stops the engine as a whole and starts it again on what it kept; gives the new store. */
  restart(): Promise<ReplicatedStore>;
  dispose(): Promise<void>;
}

const ABSENT = 0 as Revision;
let ids = 0;
const newId = (): string => `suite-${++ids}`;

/** Rows may be of a class of the engine's. */
const plain = (rows: unknown): unknown => JSON.parse(JSON.stringify(rows));

export function put(key: string, value: unknown): Op {
  return { kind: "put", key, value };
}

export async function write(store: ReplicatedStore, ...then: Op[]): Promise<Revision> {
  const result = await store.txn({ id: newId(), cmp: [], then });
  if (!result.ok) throw new Error("a txn without compares was refused");
  return result.rev;
}

export function describeReplicatedStore(engine: string, open: () => Promise<Harness>): void {
  const withStore = (body: (store: ReplicatedStore, harness: Harness) => Promise<void>) => async () => {
    const harness = await open();
    try {
      await body(harness.store, harness);
    } finally {
      await harness.dispose();
    }
  };

  describe(`ReplicatedStore on ${engine}: txn`, () => {
    test(
      "puts, and every change raises the revision",
      withStore(async (store) => {
        const first = await write(store, put("a", { n: 1 }));
        const second = await write(store, put("a", { n: 2 }), put("b", [true, null, "x"]));
        expect(second).toBeGreaterThan(first);
        expect(plain(await store.get("a"))).toEqual({ key: "a", value: { n: 2 }, modRev: second });
        expect(plain(await store.get("b"))).toEqual({ key: "b", value: [true, null, "x"], modRev: second });
        expect(await store.get("c")).toBeUndefined();
      }),
    );

    test(
      "compares: all must hold, or nothing happens and the present rows are shown",
      withStore(async (store) => {
        const rev = await write(store, put("a", 1));
        const refused = await store.txn({
          id: newId(),
          cmp: [
            { key: "a", modRev: rev },
            { key: "b", modRev: rev },
          ],
          then: [put("a", 2), put("b", 2)],
        });
        expect(plain(refused)).toEqual({ ok: false, rev, seen: [{ key: "a", value: 1, modRev: rev }] });
        expect(await store.get("b")).toBeUndefined();
        const held = await store.txn({
          id: newId(),
          cmp: [
            { key: "a", modRev: rev },
            { key: "b", modRev: ABSENT },
          ],
          then: [put("b", 3)],
        });
        expect(held.ok).toBe(true);
        expect((await store.get("b"))?.value).toBe(3);
      }),
    );

    test(
      "modRev 0 means absent, also again after a delete",
      withStore(async (store) => {
        const create = (value: number): Promise<TxnResult> =>
          store.txn({ id: newId(), cmp: [{ key: "k", modRev: ABSENT }], then: [put("k", value)] });
        expect((await create(1)).ok).toBe(true);
        expect((await create(2)).ok).toBe(false);
        await write(store, { kind: "delete", key: "k" });
        expect(await store.get("k")).toBeUndefined();
        expect((await create(3)).ok).toBe(true);
      }),
    );

    test(
      "is exactly once by id: a retry gets the first result, success and refusal alike",
      withStore(async (store) => {
        const once = { id: "once", cmp: [{ key: "k", modRev: ABSENT }], then: [put("k", 1)] };
        const first = await store.txn(once);
        expect(first.ok).toBe(true);
        await write(store, put("k", 2));
        expect(await store.txn(once)).toEqual(first);
        expect((await store.get("k"))?.value).toBe(2);
        const refused = { id: "refused", cmp: [{ key: "k", modRev: ABSENT }], then: [put("k", 9)] };
        const before = await store.txn(refused);
        expect(before.ok).toBe(false);
        await write(store, { kind: "delete", key: "k" });
        expect(await store.txn(refused)).toEqual(before);
        expect(await store.get("k")).toBeUndefined();
      }),
    );

    test(
      "of many at once on one key, one wins each revision",
      withStore(async (store) => {
        await write(store, put("counter", 0));
        const add = async (): Promise<void> => {
          for (;;) {
            const row = (await store.get("counter"))!;
            const then = [put("counter", (row.value as number) + 1)];
            const cmp = [{ key: "counter", modRev: row.modRev }];
            if ((await store.txn({ id: newId(), cmp, then })).ok) return;
          }
        };
        await Promise.all(Array.from({ length: 20 }, add));
        expect((await store.get("counter"))?.value).toBe(20);
      }),
    );

    test(
      "a txn that changes nothing keeps the revision",
      withStore(async (store) => {
        const rev = await write(store, put("a", 1));
        expect(await write(store, { kind: "delete", key: "nothing" })).toBe(rev);
        expect((await store.txn({ id: newId(), cmp: [{ key: "a", modRev: rev }], then: [] })).rev).toBe(rev);
      }),
    );

    test(
      "refuses what no engine could apply, with a user error",
      withStore(async (store) => {
        const bad: [string, Op[], string][] = [
          ["empty key", [put("", 1)], "invalid_body"],
          ["lone surrogate", [put("\ud800", 1)], "invalid_body"],
          ["long key", [put("k".repeat(limits.storeKeyBytesMax + 1), 1)], "invalid_body"],
          ["no JSON", [put("k", undefined)], "invalid_body"],
          ["same key twice", [put("k", 1), { kind: "delete", key: "k" }], "invalid_body"],
          ["large value", [put("k", "x".repeat(limits.valueBytesMax))], "too_large"],
          [
            "many",
            Array.from({ length: limits.txnOperationsMax + 1 }, (_, i) => put(`k${i}`, 1)),
            "too_large",
          ],
        ];
        for (const [name, then, code] of bad) {
          const error = await write(store, ...then).catch((thrown: unknown) => thrown);
          expect({ name, code: (error as { code?: unknown }).code }).toEqual({ name, code });
        }
        expect((await store.range("")).kvs).toEqual([]);
      }),
    );

    test(
      "hands out copies: changing what was put or got changes nothing here",
      withStore(async (store) => {
        const value = { list: [1] };
        await write(store, put("a", value));
        value.list.push(2);
        const got = (await store.get("a"))!;
        (got.value as { list: number[] }).list.push(3);
        expect((await store.get("a"))?.value).toEqual({ list: [1] });
      }),
    );
  });

  describe(`ReplicatedStore on ${engine}: range`, () => {
    test(
      "lists a prefix in byte order, page by page",
      withStore(async (store) => {
        const keys = ["p/a", "p/a-b", "p/a/b", "p/é", "p/\uffee", "p/\u{1f600}", "q", "o"];
        await write(store, ...keys.map((key, i) => put(key, i)));
        const expected = keys.filter((key) => key.startsWith("p/"));
        expected.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect((await store.range("p/")).kvs.map((kv) => kv.key)).toEqual(expected);
        const paged: string[] = [];
        let from: string | undefined;
        let pages = 0;
        do {
          const page = await store.range("p/", { limit: 2, ...(from === undefined ? {} : { from }) });
          paged.push(...page.kvs.map((kv) => kv.key));
          from = page.next;
          pages++;
        } while (from !== undefined);
        expect(paged).toEqual(expected);
        expect(pages).toBe(3);
      }),
    );

    test(
      "sees every acknowledged txn, and carries the revision that it shows",
      withStore(async (store) => {
        for (let i = 0; i < 20; i++) {
          const rev = await write(store, put("k", i));
          const { kvs, rev: seen } = await store.range("k");
          expect(kvs[0]?.value).toBe(i);
          expect(seen).toBeGreaterThanOrEqual(rev);
        }
        expect((await store.range("k", { stale: true })).kvs).toHaveLength(1);
        expect(await store.range("none/")).toMatchObject({ kvs: [] });
      }),
    );
  });

  describe(`ReplicatedStore on ${engine}: watch`, () => {
    test(
      "gives every change after the revision, in order, one revision's changes together",
      withStore(async (store) => {
        const start = await write(store, put("w/0", 0));
        const first = await write(store, put("w/1", 1), put("w/2", 2), put("other", 0));
        await write(store, put("other", 1));
        const stop = new AbortController();
        const seen = collect(store, "w/", start, stop.signal, 3);
        const second = await write(store, { kind: "delete", key: "w/1" });
        const third = await write(store, put("w/2", 3));
        expect(plain(await seen)).toEqual([
          [
            { rev: first, kind: "put", kv: { key: "w/1", value: 1, modRev: first } },
            { rev: first, kind: "put", kv: { key: "w/2", value: 2, modRev: first } },
          ],
          [{ rev: second, kind: "delete", key: "w/1" }],
          [{ rev: third, kind: "put", kv: { key: "w/2", value: 3, modRev: third } }],
        ]);
        stop.abort();
      }),
    );

    test(
      "from a range's revision misses nothing and repeats nothing",
      withStore(async (store) => {
        const name = (i: number): string => `k/${String(i).padStart(2, "0")}`;
        const writeAll = async (): Promise<void> => {
          for (let i = 0; i < 50; i++) await write(store, put(name(i), i));
        };
        const writing = writeAll();
        await write(store, put("other", 1));
        const { kvs, rev } = await store.range("k/");
        expect(kvs.length).toBeLessThan(50);
        const stop = new AbortController();
        const later = collect(store, "k/", rev, stop.signal, 50 - kvs.length);
        await writing;
        const keys = [...kvs.map((kv) => kv.key), ...(await later).flat().map((change) => keyOf(change))];
        expect(keys).toEqual(Array.from({ length: 50 }, (_, i) => name(i)));
        stop.abort();
      }),
    );

    test(
      "ends when aborted",
      withStore(async (store) => {
        const stop = new AbortController();
        const done = collect(store, "w/", 0 as Revision, stop.signal, 1);
        setTimeout(() => stop.abort(), 10);
        expect(await done).toEqual([]);
      }),
    );

    test(
      "says Compacted when the history before the revision is gone",
      withStore(async (store) => {
        const start = await write(store, put("k", 0));
        const perTxn = limits.txnOperationsMax;
        const txns = Math.ceil(limits.watchHistoryMax / perTxn) + 2;
        for (let i = 0; i < txns; i++) {
          await write(store, ...Array.from({ length: perTxn }, (_, n) => put(`fill/${n}`, i)));
        }
        const error = await collect(store, "k", start, new AbortController().signal, 1).catch(
          (e: unknown) => e,
        );
        expect(error).toBeInstanceOf(Compacted);
        expect((error as Compacted).oldest).toBeGreaterThan(start);
      }),
    );
  });

  describe(`ReplicatedStore on ${engine}: life`, () => {
    test(
      "keeps keys, revisions and remembered ids over a restart",
      withStore(async (store, harness) => {
        const once = { id: "kept", cmp: [{ key: "a", modRev: ABSENT }], then: [put("a", 1)] };
        const first = await store.txn(once);
        const rev = await write(store, put("b", 2), put("c", 3));
        await write(store, { kind: "delete", key: "c" });
        const again = await harness.restart();
        expect(plain((await again.range("")).kvs)).toEqual([
          { key: "a", value: 1, modRev: first.rev },
          { key: "b", value: 2, modRev: rev },
        ]);
        expect(await again.txn(once)).toEqual(first);
        expect(await write(again, put("d", 4))).toBeGreaterThan(rev);
      }),
    );

    test(
      "tells who leads, at once",
      withStore(async (store, harness) => {
        const stop = new AbortController();
        for await (const { leader, term } of store.leadership(stop.signal)) {
          expect(leader).toBe(harness.leads);
          expect(term).toBeGreaterThan(0);
          break;
        }
        stop.abort();
        const members = await store.members();
        expect(members.filter((member) => member.role === "leader")).toHaveLength(1);
        expect(await store.health()).toMatchObject({ ok: true, leader: expect.any(String) as string });
      }),
    );

    test(
      "refuses everything after close",
      withStore(async (store) => {
        await store.close();
        for (const attempt of [
          () => write(store, put("a", 1)),
          () => store.range("a"),
          () => store.get("a"),
        ]) {
          const error = await attempt().then(
            () => undefined,
            (thrown: unknown) => thrown,
          );
          expect((error as { code?: unknown } | undefined)?.code).toBe("control_no_leader");
        }
      }),
    );
  });
}

/** The first `count` groups of changes; fewer when the watch ends. */
async function collect(
  store: ReplicatedStore,
  prefix: string,
  from: Revision,
  signal: AbortSignal,
  count: number,
): Promise<Change[][]> {
  const groups: Change[][] = [];
  for await (const event of store.watch(prefix, from, signal)) {
    if (!Array.isArray(event)) continue;
    groups.push(event);
    if (groups.length === count) break;
  }
  return groups;
}

function keyOf(change: Change): string {
  return change.kind === "put" ? change.kv.key : change.key;
}
