import { afterEach, beforeEach, expect, test } from "bun:test";
import type { DatabaseName, TenantId } from "../../shared/ids.ts";
import type { Tenant, WriteTransaction } from "./contract.ts";
import { type TestHost, TestWorld } from "./test-world.ts";

let world: TestWorld;
beforeEach(async () => {
  world = await TestWorld.open();
});
afterEach(() => world.close());

const NOTES = "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)";

async function put(tenant: Tenant, text: string): Promise<void> {
  const seen = tenant.observe();
  await tenant.data.write(seen, (tx) => {
    tx.exec(NOTES);
    tx.run("INSERT INTO notes (text) VALUES (?)", [text]);
  });
  await seen.settled();
}

function texts(tenant: Tenant): string[] {
  return tenant.data.read(tenant.observe(), (db) =>
    db.all<{ text: string }>("SELECT text FROM notes ORDER BY id").map((row) => row.text),
  );
}

async function started(): Promise<{ host: TestHost; id: TenantId; tenant: Tenant }> {
  const host = world.host();
  const id = world.create(host);
  return { host, id, tenant: await world.at(host, id) };
}

test("an acknowledged write is there after a kill, on another host", async () => {
  const { host, id, tenant } = await started();
  await put(tenant, "one");
  await put(tenant, "two");
  host.abandon();
  const other = world.host();
  await world.takeOver(host, other);
  expect(texts(await world.at(other, id))).toEqual(["one", "two"]);
});

test("a loaded tenant is acquired synchronously", async () => {
  const { host, id, tenant } = await started();
  expect(host.acquire(id, tenant.epoch)).toBe(tenant);
});

test("write answers synchronously when lock and fn are", async () => {
  const { tenant } = await started();
  const result = tenant.data.write(tenant.observe(), (tx: WriteTransaction) => tx.get<{ one: number }>("SELECT 1 AS one"));
  expect(result).toEqual({ one: 1 });
});

test("a clean stop leaves everything under the prefix", async () => {
  const { host, id, tenant } = await started();
  await put(tenant, "one");
  const exit = await host.stop();
  expect(exit.released.map((one) => one.tenant)).toEqual([id]);
  expect(exit.released[0]?.base["data.db" as DatabaseName]?.txid).toBe(1 as never);
  const other = world.host();
  world.give(id, exit.released[0]?.base ?? {}, other);
  expect(texts(await world.at(other, id))).toEqual(["one"]);
});
