/** Databases beyond 1 GiB, where SQLite keeps its lock page: imported, loaded again, merged into a snapshot, replaced in place. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_DB, type TenantId } from "../../shared/ids.ts";
import { lockPage } from "../../shared/ltx/ltx.ts";
import { ltxPrefix } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import type { Tenant } from "../../worker/tenant/contract.ts";
import { TestWorld, putNote } from "../../worker/tenant/test-world.ts";

const GIGABYTE = 1024 ** 3;
const WAIT_MS_MAX = 120_000;
/** Of growth while nothing holds the file: the pieces of what is read, and what the garbage collector has not looked at. */
const MEMORY_BYTES_MAX = 600 * 1024 * 1024;

let world: TestWorld;
let directory: string;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "gigabytes-"));
  world = await TestWorld.open();
});
afterEach(() => {
  world.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Mostly zeros, with rows on both sides of the lock page. */
function hugeDatabase(pageSize: number): string {
  const path = join(directory, "huge.db");
  const db = new Database(path, { create: true });
  db.run(`PRAGMA page_size=${pageSize}`);
  db.run("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF");
  db.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT); CREATE TABLE bulk (n INTEGER, body BLOB)");
  db.run("BEGIN");
  for (let n = 0; n < 113; n++) db.run("INSERT INTO bulk VALUES (?, zeroblob(10000000))", [n]);
  db.run("COMMIT");
  db.run("CREATE TABLE marks (body BLOB); INSERT INTO marks VALUES (zeroblob(1000))");
  db.close();
  expect(statSync(path).size).toBeGreaterThan(lockPage(pageSize) * pageSize);
  return path;
}

const rows = (tenant: Tenant): unknown[] =>
  tenant.data.read(tenant.observe(), (db) =>
    db.values(
      "SELECT (SELECT count(*) FROM bulk), (SELECT sum(n) FROM bulk), (SELECT group_concat(text) FROM notes)",
    ),
  );

async function snapshotTxids(id: TenantId): Promise<number[]> {
  const txids: number[] = [];
  for await (const { key } of listAll(world.store, { prefix: `${ltxPrefix(id, DATA_DB)}0009/` }))
    txids.push(Number.parseInt(key.slice(-20, -4), 16));
  return txids;
}

for (const pageSize of [4_096, 65_536]) {
  test(`a database of 1.1 GiB with pages of ${pageSize} bytes`, async () => {
    const source = hugeDatabase(pageSize);
    Bun.gc(true);
    const before = process.memoryUsage.rss();
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss() - before)), 20);
    let host = world.host();
    const id = world.create(host);
    let tenant = await world.at(host, id);
    await putNote(tenant, "old");
    const seen = tenant.observe();
    await tenant.replaceDatabases(seen, new Map([[DATA_DB, source]]));
    await seen.settled();
    await putNote(tenant, "new");
    expect(rows(tenant)).toEqual([[113, 6_328, "new"]]);

    // From the import's own object, as a dead worker leaves it.
    host.abandon();
    const next = world.host();
    await world.takeOver(host, next);
    host = next;
    tenant = await world.at(host, id);
    expect(rows(tenant)).toEqual([[113, 6_328, "new"]]);
    await putNote(tenant, "newer");

    // A snapshot from the objects of the prefix, and a load from that.
    for (
      const end = Date.now() + WAIT_MS_MAX;
      !(await snapshotTxids(id)).some((txid) => txid > 1);
      await Bun.sleep(100)
    ) {
      if (Date.now() > end) throw new Error("no snapshot was merged");
    }
    world.give(id, await host.release(id), (host = world.host()));
    tenant = await world.at(host, id);
    expect(rows(tenant)).toEqual([[113, 6_328, "new,newer"]]);
    const [check] = tenant.data.read(tenant.observe(), (db) => db.values("PRAGMA integrity_check"));
    expect(check).toEqual(["ok"]);
    clearInterval(watch);
    expect(world.errors).toEqual([]);
    expect(statSync(source).size).toBeGreaterThan(GIGABYTE);
    expect(most).toBeLessThan(MEMORY_BYTES_MAX);
  }, 300_000);
}
