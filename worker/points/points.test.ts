/** Going back to any flush, from object storage alone. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_DB, type DatabaseName, type TenantId, type Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { tenantPrefix } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Point } from "../../shared/protocol/points.ts";
import type { Tenant } from "../tenant/contract.ts";
import type { LoadedTenant } from "../tenant/loaded-tenant.ts";
import { ManualClock } from "../tenant/manual-clock.ts";
import { type TestHost, TestWorld, codeOf, putNote } from "../tenant/test-world.ts";
import { findPoint } from "./find-point.ts";
import { listPoints } from "./list-points.ts";
import { restorePoint } from "./restore-point.ts";

const HOUR = 60 * 60_000;
let world: TestWorld;
let clock: ManualClock;
let store: ObjectStore;
let directory: string;
beforeEach(async () => {
  world = await TestWorld.open();
  clock = new ManualClock();
  store = clock.timed(world.store);
  directory = mkdtempSync(join(tmpdir(), "points-"));
});
afterEach(() => {
  world.close();
  rmSync(directory, { recursive: true, force: true });
});

async function started(): Promise<{ host: TestHost; id: TenantId; tenant: Tenant }> {
  const host = world.host({ store, clock });
  const id = world.create(host);
  return { host, id, tenant: await world.at(host, id) };
}

const options = (id: TenantId) => ({
  store,
  tenant: id,
  clock,
  nowMs: clock.nowMs(),
  signal: AbortSignal.timeout(30_000),
  open: <Entry>(entry: Entry): Entry => entry,
  directory,
});

/** data.db now, and which TXID that is. */
function copyOf(tenant: Tenant): { txid: Txid; bytes: Uint8Array } {
  const database = (tenant as LoadedTenant).database(DATA_DB);
  const reader = new Database(database.path, { readonly: true });
  try {
    return { txid: database.position.captured.txid, bytes: reader.serialize() };
  } finally {
    reader.close();
  }
}

async function restored(id: TenantId, at: Point | undefined): Promise<Uint8Array> {
  const { paths } = await restorePoint(options(id), at);
  return readFileSync(paths.get(DATA_DB) as string);
}

/** The same numbers for the same seed. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe("restorePoint", () => {
  test("gives every flush of the last 72 hours byte for byte, whatever merges, snapshots and restarts came in between", async () => {
    for (const seed of [1, 2, 3]) {
      const roll = dice(seed);
      let { host, id, tenant } = await started();
      const copies = new Map<Txid, { bytes: Uint8Array; atMs: number }>();
      for (let step = 0; step < 60; step++) {
        const kind = roll(12);
        if (kind < 8) {
          await putNote(tenant, "x".repeat(roll(3_000)));
          if (roll(4) === 0) await write(tenant, "DELETE FROM notes WHERE id % 3 = 0");
          const { txid, bytes } = copyOf(tenant);
          copies.set(txid, { bytes, atMs: clock.nowMs() });
          clock.jump(1_000 + roll(60_000));
        } else if (kind < 9) await clock.pass(limits.materialiseAfterMs);
        else if (kind < 10) await clock.pass(roll(4) * HOUR);
        else if (kind < 11) await tenant.history.materialise();
        else {
          const base = await host.release(id);
          host = world.host({ store, clock });
          world.give(id, base, host);
          tenant = await world.at(host, id);
        }
      }
      await tenant.history.materialise();
      const kept = [...copies].filter(([, { atMs }]) => atMs > clock.nowMs() - limits.bundleKeepMs + HOUR);
      expect(kept.length).toBeGreaterThan(20);
      for (const [txid, { bytes }] of kept) expect(equal(await restored(id, txid), bytes)).toBe(true);
      expect(world.errors).toEqual([]);
      await host.stop();
    }
  }, 60_000);

  test("of a time gives the newest state that is not younger, and says when that state is not kept any more", async () => {
    const { id, tenant } = await started();
    const times: number[] = [];
    for (const text of ["one", "two", "three"]) {
      await putNote(tenant, text);
      times.push(clock.nowMs());
      await clock.pass(10_000);
    }
    await tenant.history.materialise();
    const second = await findPoint(options(id), iso((times[1] as number) + 5_000));
    expect(second.exact).toBe(true);
    expect(second.next?.txid).toBe((second.point.txid + 1) as Txid);
    expect(textsOf(await restored(id, second.point.txid))).toEqual(["one", "two"]);
    expect(textsOf(await restored(id, iso((times[0] as number) + 1)))).toEqual(["one"]);
    expect(textsOf(await restored(id, iso(clock.nowMs())))).toEqual(["one", "two", "three"]);
    await expect(findPoint(options(id), iso(clock.nowMs() + HOUR))).rejects.toMatchObject({
      code: "point_not_found",
      message: expect.stringContaining("has not come"),
    });
    expect(textsOf(await restored(id, undefined))).toEqual(["one", "two", "three"]);
    // Without its flushes only the ends of files are left.
    for await (const { key } of listAll(store, { prefix: `${tenantPrefix(id)}flushes/` }))
      await store.delete([key]);
    await putNote(tenant, "four");
    await tenant.history.materialise();
    const error = await findPoint(options(id), iso((times[1] as number) + 5_000)).catch(
      (one: unknown) => one,
    );
    expect(error).toMatchObject({ code: "point_not_found" });
    await tenant.history.materialise();
    clock.jump(60_000);
    const sinceMs = clock.nowMs();
    await putNote(tenant, "five");
    await clock.pass(10_000);
    await putNote(tenant, "six");
    await tenant.history.materialise();
    for await (const { key } of listAll(store, { prefix: `${tenantPrefix(id)}flushes/` }))
      await store.delete([key]);
    // TXID 5 stood then, and only 4 and 6 are kept: the older one, and what is missing is told.
    const coarse = await findPoint(options(id), iso(sinceMs + 5_000));
    expect(coarse).toMatchObject({ exact: false, point: { txid: 4 }, next: { txid: 6 } });
  });

  test("refuses what is not there, and names the nearest points", async () => {
    const { id, tenant } = await started();
    expect(await codeOf(() => findPoint(options(id), undefined))).toBe("point_not_found");
    for (let i = 0; i < 3; i++) await putNote(tenant, `${i}`);
    await tenant.history.materialise();
    const beyond = await findPoint(options(id), 99 as Txid).catch((error: unknown) => error);
    expect(beyond).toMatchObject({ code: "point_not_found", details: { before: { txid: 3 } } });
    const early = await findPoint(options(id), "2001-01-01T00:00:00.000Z").catch((error: unknown) => error);
    expect(early).toMatchObject({ code: "point_not_found", details: { after: { txid: 1 } } });
  });

  test("proves what it reads", async () => {
    const { id, tenant } = await started();
    for (let i = 0; i < 4; i++) await putNote(tenant, `${i}`);
    await tenant.history.materialise();
    const [bundle] = await Array.fromAsync(listAll(store, { prefix: `${tenantPrefix(id)}flushes/` }));
    const key = (bundle as { key: string }).key;
    const bytes = new Uint8Array(await new Response((await store.get(key))?.stream as never).arrayBuffer());
    bytes[400] = (bytes[400] as number) ^ 1;
    await store.put(key, bytes);
    expect(await codeOf(() => restored(id, 2 as Txid))).toBe("object_corrupt");
  });
});

test("listPoints tells ranges of flushes, and single TXIDs where only merged files are left", async () => {
  const { id, tenant } = await started();
  expect(await listPoints(options(id))).toEqual({ databases: {} });
  for (let i = 0; i < 3; i++) await putNote(tenant, `${i}`);
  await tenant.history.materialise();
  const before = await listPoints(options(id));
  expect(before.databases["data.db"]).toMatchObject({
    newest: { txid: 3 },
    ranges: [{ first: { txid: 1 }, last: { txid: 3 } }],
    singles: [],
    more: 0,
  });
  for (let day = 0; day < 5; day++) {
    await putNote(tenant, `${day}`);
    await putNote(tenant, `${day}`);
    await clock.pass(24 * HOUR);
  }
  const { databases } = await listPoints(options(id));
  const data = databases["data.db" as DatabaseName];
  expect(data?.newest?.txid).toBe(13 as Txid);
  expect(data?.singles.map(({ txid }) => Number(txid))).toContain(3);
  expect(data?.ranges.at(-1)?.last.txid).toBe(13 as Txid);
  for (const { txid } of data?.singles ?? [])
    expect(textsOf(await restored(id, txid))).toHaveLength(Number(txid));
});

async function write(tenant: Tenant, sql: string): Promise<void> {
  const seen = tenant.observe();
  await tenant.data.write(seen, (tx) => tx.exec(sql));
  await seen.settled();
}

function textsOf(bytes: Uint8Array): string[] {
  // A deserialized database has no WAL.
  const database = Database.deserialize(bytes.with(18, 1).with(19, 1));
  try {
    return database
      .query<{ text: string }, []>("SELECT text FROM notes ORDER BY id")
      .all()
      .map(({ text }) => text);
  } finally {
    database.close();
  }
}

const iso = (ms: number): string => new Date(ms).toISOString();
const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
