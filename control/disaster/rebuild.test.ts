/** The rules by which records are put together, one by one; scripts/manybase/control-restore tests whole restores. */
import { expect, test } from "bun:test";
import type { Epoch, Incarnation, LogSeq, Slug, TenantId, Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { sealKey, slugKey, tenantKey, workerKey } from "../domain/keys.ts";
import type { TenantRecord } from "../domain/records.ts";
import { keptOf } from "./metadata.ts";
import { type FoundTenant, type RebuildInput, rebuild } from "./rebuild.ts";
import type { ControlSnapshot } from "./snapshot.ts";

const at = "2026-01-01T00:00:00.000Z";
const id = "abcdefghijklmno" as TenantId;
const one = 65_536 as Incarnation;
const base = (txid: number) => ({ "data.db": { txid: txid as Txid, entryHash: "" } });

function tenant(change: Partial<TenantRecord> = {}): TenantRecord {
  return {
    ...{ id, slug: "acme" as Slug, state: "active", suspended: false, durability: "durable" },
    ...{ epoch: 3 as Epoch, base: {}, tails: [], virgin: true, created: at, updated: at },
    ...change,
  };
}

function snapshotWith(block: number, revision: number, record: TenantRecord): ControlSnapshot {
  const rows: [string, unknown][] = [
    [tenantKey(record.id), record],
    [slugKey(record.slug), record.id],
    ["idempotency/x", { atMs: 1 }],
  ];
  return { cluster: "c", block, revision, at, rows };
}

function metadataOf(record: TenantRecord, block: number, revision: number): FoundTenant {
  const { epoch, base } = record;
  const metadata = { cluster: "c", tenant: record.id, kept: keptOf(record), epoch, base };
  return { metadata, written: { block, revision }, keys: [`k${block}-${revision}`] };
}

function rebuilt(input: Partial<RebuildInput>): { record: TenantRecord; rows: Map<string, unknown> } {
  const result = rebuild({
    ...{ snapshot: undefined, cluster: "c", block: 9, used: 0, tenants: new Map(), pins: [] },
    ...{ logged: new Map(), logs: [], at, atMs: Date.parse(at) },
    ...input,
  });
  return { record: result.tenants.find((made) => made.id === id)!, rows: new Map(result.rows) };
}

test.each([
  ["a later revision of the same block", 2, 6, true],
  ["an earlier revision of the same block", 2, 4, false],
  ["an early revision of a later block", 3, 1, true],
  ["a late revision of an earlier block", 1, 99, false],
])("of two records the newer counts: metadata of %s than the snapshot's", (_, block, revision, counts) => {
  const snapshot = snapshotWith(2, 5, tenant({ suspended: false }));
  const tenants = new Map([[id, metadataOf(tenant({ suspended: true }), block, revision)]]);
  expect(rebuilt({ snapshot, tenants }).record.suspended).toBe(counts);
});

test("the epoch is above all that anybody knows, and positions are the highest of all", () => {
  const known = (old: number, metadata: number, logged: number): number => {
    const { record } = rebuilt({
      snapshot: snapshotWith(2, 5, tenant({ epoch: old as Epoch, base: base(old) })),
      tenants: new Map([[id, metadataOf(tenant({ epoch: metadata as Epoch, base: base(metadata) }), 2, 6)]]),
      logged: new Map([[id, { tails: [], epochMax: logged, encrypted: false }]]),
    });
    expect(record.base["data.db"]?.txid as number).toBe(Math.max(old, metadata));
    return record.epoch - limits.restoreEpochMargin;
  };
  expect([known(9, 4, 5), known(4, 9, 5), known(4, 5, 9)]).toEqual([9, 9, 9]);
});

test("a tenant is empty only when no record says otherwise and no log holds anything of it", () => {
  const snapshot = snapshotWith(2, 5, tenant());
  expect(rebuilt({ snapshot }).record.virgin).toBe(true);
  const tails = [{ incarnation: one, endSeq: 7 as LogSeq }];
  const logged = new Map([[id, { tails, epochMax: 1, encrypted: false }]]);
  const { record } = rebuilt({ snapshot, logged });
  expect([record.virgin, record.tails]).toEqual([false, tails]);
  expect(rebuilt({ snapshot: snapshotWith(2, 5, tenant({ virgin: false })) }).record.virgin).toBe(false);
});

test("nobody owns anything, every log is sealed, and of a log that nobody needs nothing is left to delete", () => {
  const owned = tenant({ owner: { incarnation: one }, tails: [{ incarnation: one, endSeq: 1 as LogSeq }] });
  const { record, rows } = rebuilt({
    snapshot: snapshotWith(2, 5, owned),
    logs: [
      { incarnation: one, endSeq: 7 as LogSeq, retired: false },
      { incarnation: 65_537 as Incarnation, endSeq: 3 as LogSeq, retired: true },
    ],
  });
  expect(record).not.toHaveProperty("owner");
  expect([record.state, record.tails]).toEqual(["evicted", []]);
  expect(rows.get(workerKey(one))).toMatchObject({ state: "sealed" });
  expect(rows.get(sealKey(one))).toEqual({ endSeq: 7 });
  expect(rows.get(sealKey(65_537 as Incarnation))).toEqual({ endSeq: 3, cleared: at });
  expect(rows.has("idempotency/x")).toBe(true);
});
