/** A tenant whose snapshots are merged from its objects is a database that stock Litestream restores byte for byte, from files and from S3. */
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureS3Server } from "../../scripts/s3-server.ts";
import { DATA_DB, type TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { ltxPrefix } from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import { openObjectStore } from "../../worker/objects/open.ts";
import type { Tenant } from "../../worker/tenant/contract.ts";
import type { LoadedTenant } from "../../worker/tenant/loaded-tenant.ts";
import { TestWorld, putNote } from "../../worker/tenant/test-world.ts";
import { hydrate, hydrateFrom } from "./litestream-vfs.ts";
import { type LtxTreeFile, writeLtxTree } from "../../scripts/manybase/litestream/ltx-tree.ts";

const BULK_BYTES = 60 * 1024 * 1024;
const WAIT_MS_MAX = 60_000;

const server = await ensureS3Server();
let world: TestWorld;
let directory: string;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "large-tenant-"));
  world = await TestWorld.open();
});
afterEach(() => {
  world.close();
  rmSync(directory, { recursive: true, force: true });
});

function largeDatabase(): string {
  const path = join(directory, "large.db");
  const db = new Database(path, { create: true });
  db.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT); CREATE TABLE bulk (body BLOB)");
  for (let left = BULK_BYTES; left > 0; left -= 1024 * 1024)
    db.run("INSERT INTO bulk VALUES (randomblob(700000) || zeroblob(348576))");
  db.close();
  expect(statSync(path).size).toBeGreaterThan(limits.snapshotImageBytesMax);
  return path;
}

async function change(tenant: Tenant, sql: string): Promise<void> {
  const seen = tenant.observe();
  await tenant.data.write(seen, (tx) => tx.exec(sql));
  await seen.settled();
}

async function snapshots(store: ObjectStore, id: TenantId): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of listAll(store, { prefix: `${ltxPrefix(id, DATA_DB)}0009/` })) keys.push(key);
  return keys;
}

/** Imports, changes and moves a large tenant; a snapshot of it was merged, and files lie beyond it. */
async function largeTenant(store: ObjectStore): Promise<{ id: TenantId; image: Uint8Array }> {
  const host = world.host({ store });
  const id = world.create(host);
  let tenant = await world.at(host, id);
  await putNote(tenant, "before");
  await tenant.replaceDatabases(tenant.observe(), new Map([[DATA_DB, largeDatabase()]]));
  // The first one is what the tenant was before the import.
  for (const end = Date.now() + WAIT_MS_MAX; (await snapshots(store, id)).length < 2; await Bun.sleep(50)) {
    if (Date.now() > end) throw new Error("no snapshot was merged");
  }
  await change(tenant, "UPDATE bulk SET body = randomblob(1000) WHERE rowid % 7 = 0");
  await change(tenant, "DELETE FROM bulk WHERE rowid > 50");
  const base = await host.release(id);
  const next = world.host({ store });
  world.give(id, base, next);
  tenant = await world.at(next, id);
  await putNote(tenant, "after");
  const { image } = (await (tenant as LoadedTenant).database(DATA_DB).cuts.image()) ?? {};
  if (image === undefined) throw new Error("the tenant has no image");
  world.give(id, await next.release(id), world.host({ store }));
  expect(world.errors).toEqual([]);
  return { id, image };
}

test("a large tenant's merged snapshots and chain hydrate from files", async () => {
  const { id, image } = await largeTenant(world.store);
  const files: LtxTreeFile[] = [];
  const prefix = ltxPrefix(id, DATA_DB);
  for await (const { key } of listAll(world.store, { prefix })) {
    const level = Number.parseInt(key.slice(prefix.length, prefix.length + 4), 16);
    files.push({ level, ltx: (await getBytes(world.store, key)) as Uint8Array });
  }
  const tree = join(directory, "tree");
  mkdirSync(tree);
  await writeLtxTree(tree, files);
  const target = join(directory, "hydrated.db");
  await hydrate(tree, target);
  expect(Buffer.compare(readFileSync(target), image)).toBe(0);
}, 120_000);

if (!("skip" in server)) {
  test("a large tenant's merged snapshots and chain hydrate from S3", async () => {
    const { endpoint, region, accessKeyId, secretAccessKey } = server;
    const bucket = `large-${crypto.randomUUID()}`;
    const credentials = { accessKeyId, secretAccessKey };
    const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    client.destroy();
    const query = new URLSearchParams({ endpoint, region, "force-path-style": "true" });
    const environment = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    const store = await openObjectStore(`s3://${bucket}/platform?${query}`, environment);
    const { id, image } = await largeTenant(store);
    const target = join(directory, "hydrated.db");
    const path = ltxPrefix(id, DATA_DB).replace(/\/$/, "");
    await hydrateFrom(`s3://${bucket}/platform/${path}?${query}`, target, { environment });
    expect(Buffer.compare(readFileSync(target), image)).toBe(0);
    await store.close();
  }, 120_000);
}
