import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AUXILIARY_DB, DATA_DB, type TenantId, hex16 } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { ltxPrefix, tenantPrefix } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import type { Tenant } from "./contract.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";
import { type TestHost, TestWorld, codeOf, notes, putNote, slowStore } from "./test-world.ts";

let world: TestWorld;
let host: TestHost;
let id: TenantId;
let tenant: Tenant;
beforeEach(async () => {
  world = await TestWorld.open();
  host = world.host();
  id = world.create(host);
  tenant = await world.at(host, id);
  for (let i = 0; i < 30; i++) await putNote(tenant, `old ${i}`);
});
afterEach(() => world.close());

/** A database from elsewhere, with `notes` and some bulk. */
function foreignFile(name: string, pageSize: number, bulkBytes: number, journal = "DELETE"): string {
  const path = join(world.directory, name);
  const db = new Database(path, { create: true });
  db.run(`PRAGMA page_size=${pageSize}`);
  db.run(`PRAGMA journal_mode=${journal}`);
  db.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT); CREATE TABLE bulk (body BLOB)");
  db.run("INSERT INTO notes (text) VALUES ('imported')");
  for (let left = bulkBytes; left > 0; left -= 100_000)
    db.run("INSERT INTO bulk VALUES (randomblob(100000))");
  db.close();
  return path;
}

async function replace(files: [typeof DATA_DB, string][]): Promise<void> {
  const seen = tenant.observe();
  await tenant.replaceDatabases(seen, new Map(files));
  await seen.settled();
}

async function afterKill(): Promise<LoadedTenant> {
  const { image } = (await (tenant as LoadedTenant).database(DATA_DB).cuts.image()) ?? {};
  host.abandon();
  const next = world.host();
  await world.takeOver(host, next);
  const again = (await world.at(next, id)) as LoadedTenant;
  const restored = await again.database(DATA_DB).cuts.image();
  expect(Buffer.compare(restored?.image ?? new Uint8Array(), image ?? new Uint8Array(1))).toBe(0);
  return again;
}

describe("replaceDatabases", () => {
  for (const pageSize of [512, 1024, 4096, 8192, 65_536]) {
    test(`takes a file of page size ${pageSize}, and what follows survives a kill`, async () => {
      await replace([[DATA_DB, foreignFile("import.db", pageSize, 200_000)]]);
      expect(notes(tenant)).toEqual(["imported"]);
      expect(tenant.data.read(tenant.observe(), (db) => db.values("PRAGMA page_size"))).toEqual([[pageSize]]);
      await putNote(tenant, "after");
      expect(notes(await afterKill())).toEqual(["imported", "after"]);
    });
  }

  test("of another page size is followed by a snapshot, since no tool merges across it", async () => {
    await host.release(id).then((base) => world.give(id, base, host));
    tenant = await world.at(host, id);
    await replace([[DATA_DB, foreignFile("import.db", 1024, 0)]]);
    const base = await host.release(id);
    world.give(id, base, host);
    tenant = await world.at(host, id);
    const snapshot = `0000000000000001-${hex16(base[DATA_DB]?.txid ?? 0)}.ltx`;
    const snapshots: string[] = [];
    for (let i = 0; i < 100 && !snapshots.some((key) => key.endsWith(snapshot)); i++) {
      await Bun.sleep(10);
      for await (const { key } of listAll(world.store, { prefix: `${ltxPrefix(id, DATA_DB)}0009/` }))
        snapshots.push(key);
    }
    expect(snapshots.at(-1)).toEndWith(snapshot);
    expect(notes(tenant)).toEqual(["imported"]);
  });

  test("larger than the log takes goes by reference, before anything is swapped", async () => {
    await replace([[DATA_DB, foreignFile("import.db", 4096, limits.logInlineEntryBytesMax * 2)]]);
    const large: string[] = [];
    for await (const { key } of listAll(world.store, { prefix: `${tenantPrefix(id)}large/` }))
      large.push(key);
    expect(large.length).toBe(1);
    await putNote(tenant, "after");
    const again = await afterKill();
    expect(notes(again)).toEqual(["imported", "after"]);
    await putNote(again, "later");
    expect(notes(again)).toEqual(["imported", "after", "later"]);
  });

  test("tells caches in the turn of the swap, bootstraps, and takes several databases at once", async () => {
    const told: string[][] = [];
    tenant.onReplaced(() => void told.push(notes(tenant)));
    await replace([
      [DATA_DB, foreignFile("import.db", 4096, 0)],
      [AUXILIARY_DB, foreignFile("aux.db", 1024, 0)],
    ]);
    expect(told).toEqual([["imported"]]);
    const again = await afterKill();
    expect(
      again.database(AUXILIARY_DB).read(again.observe(), (db) => db.values("SELECT text FROM notes")),
    ).toEqual([["imported"]]);
  });

  test("takes what is still in the WAL beside the file", async () => {
    const path = foreignFile("import.db", 4096, 0, "WAL");
    const db = new Database(path);
    db.run("PRAGMA wal_autocheckpoint=0");
    db.run("INSERT INTO notes (text) VALUES ('in the wal')");
    await replace([[DATA_DB, path]]);
    db.close();
    expect(notes(tenant)).toEqual(["imported", "in the wal"]);
  });

  test("refuses what is no intact database, and keeps the old content", async () => {
    const garbage = join(world.directory, "garbage.db");
    writeFileSync(garbage, "this is not a database, however long it may be".repeat(100));
    const damaged = foreignFile("damaged.db", 4096, 100_000);
    const bytes = readFileSync(damaged);
    bytes.fill(0xff, 4096, 4096 * 4);
    writeFileSync(damaged, bytes);
    for (const path of [garbage, damaged, join(world.directory, "missing.db")]) {
      expect(await codeOf(() => replace([[DATA_DB, path]]))).toBe("invalid_import");
    }
    await putNote(tenant, "still here");
    expect(notes(tenant).length).toBe(31);
    expect(notes(await afterKill()).length).toBe(31);
  });

  test("waits for a write that is under way", async () => {
    const gate = Promise.withResolvers<void>();
    const writing = tenant.data.write(tenant.observe(), async (tx) => {
      await gate.promise;
      tx.run("INSERT INTO notes (text) VALUES ('late')");
    });
    const replacing = replace([[DATA_DB, foreignFile("import.db", 4096, 0)]]);
    await Bun.sleep(5);
    expect(notes(tenant).length).toBe(30);
    gate.resolve();
    await Promise.all([writing, replacing]);
    expect(notes(tenant)).toEqual(["imported"]);
  });
});

test("VACUUM, and growth after it, survive a kill byte for byte", async () => {
  const db = tenant.data;
  await db.write(tenant.observe(), (tx) => tx.exec("CREATE TABLE bulk (body BLOB)"));
  await db.write(tenant.observe(), (tx) => {
    for (let i = 0; i < 200; i++) tx.run("INSERT INTO bulk VALUES (randomblob(5000))");
  });
  await db.write(tenant.observe(), (tx) => tx.exec("DELETE FROM bulk WHERE rowid > 20"));
  await putNote(tenant, "before");
  (tenant as LoadedTenant).database(DATA_DB).vacuum(tenant.observe());
  await putNote(tenant, "after");
  await db.write(tenant.observe(), (tx) => tx.run("INSERT INTO bulk VALUES (randomblob(50000))"));
  await putNote(tenant, "end");
  expect(notes(await afterKill()).length).toBe(33);
});

test("a transaction larger than the log takes goes by reference, and later commits follow it", async () => {
  const base = await host.release(id);
  host = world.host({ store: slowStore(world.store, "/large/", 60) });
  world.give(id, base, host);
  tenant = await world.at(host, id);
  const seen = tenant.observe();
  await tenant.data.write(seen, (tx) => {
    tx.exec("CREATE TABLE bulk (body BLOB)");
    for (let i = 0; i < 100; i++) tx.run("INSERT INTO bulk VALUES (randomblob(100000))");
  });
  await Bun.sleep(20);
  await putNote(tenant, "beside");
  await seen.settled();
  await putNote(tenant, "after");
  expect(notes(await afterKill()).slice(-2)).toEqual(["beside", "after"]);
});
