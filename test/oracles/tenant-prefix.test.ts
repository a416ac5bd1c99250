/** What a worker leaves under a tenant's prefix is a database that stock Litestream restores byte for byte. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_DB, type TenantId } from "../../shared/ids.ts";
import { ltxPrefix } from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import type { Tenant } from "../../worker/tenant/contract.ts";
import type { LoadedTenant } from "../../worker/tenant/loaded-tenant.ts";
import { type TestHost, TestWorld, putNote } from "../../worker/tenant/test-world.ts";
import { hydrate } from "./litestream-vfs.ts";
import { type LtxTreeFile, writeLtxTree } from "../../scripts/manybase/litestream/ltx-tree.ts";

let world: TestWorld;
let directory: string;
let id: TenantId;
let host: TestHost;
let tenant: Tenant;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tenant-prefix-"));
  world = await TestWorld.open();
  host = world.host();
  id = world.create(host);
  tenant = await world.at(host, id);
});
afterEach(() => {
  world.close();
  rmSync(directory, { recursive: true, force: true });
});

async function change(sql: string): Promise<void> {
  const seen = tenant.observe();
  await tenant.data.write(seen, (tx) => tx.exec(sql));
  await seen.settled();
}

async function move(): Promise<void> {
  const base = await host.release(id);
  host = world.host();
  world.give(id, base, host);
  tenant = await world.at(host, id);
}

async function exported(): Promise<LtxTreeFile[]> {
  const files: LtxTreeFile[] = [];
  const prefix = ltxPrefix(id, DATA_DB);
  for await (const { key } of listAll(world.store, { prefix })) {
    const ltx = await getBytes(world.store, key);
    if (ltx !== undefined)
      files.push({ level: Number.parseInt(key.slice(prefix.length, prefix.length + 4), 16), ltx });
  }
  return files;
}

async function expectRestored(name: string): Promise<void> {
  const image = await (tenant as LoadedTenant).database(DATA_DB).cuts.image();
  const tree = join(directory, name);
  mkdirSync(tree);
  await writeLtxTree(tree, await exported());
  const target = join(directory, `${name}.db`);
  await hydrate(tree, target);
  expect(Buffer.compare(readFileSync(target), image?.image ?? new Uint8Array())).toBe(0);
}

describe("a tenant's prefix", () => {
  test("is readable by stock Litestream after moves, a takeover, and a shrink", async () => {
    await putNote(tenant, "one");
    await change("CREATE TABLE bulk (body TEXT)");
    for (let i = 0; i < 20; i++) await change("INSERT INTO bulk VALUES (hex(randomblob(4000)))");
    await move();
    await expectRestored("moved");
    for (let i = 0; i < 20; i++)
      await change("UPDATE bulk SET body = upper(body) || 'x' WHERE rowid % 3 = 0");
    (tenant as LoadedTenant).database(DATA_DB).vacuum(tenant.observe());
    await change("DELETE FROM bulk WHERE rowid > 8");
    const dead = host;
    dead.abandon();
    host = world.host();
    await world.takeOver(dead, host);
    tenant = await world.at(host, id);
    await move();
    await expectRestored("taken-over");
  }, 30_000);
});
