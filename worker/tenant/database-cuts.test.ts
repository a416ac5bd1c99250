import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { AUXILIARY_DB, DATA_DB } from "../../shared/ids.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";
import { type TestHost, TestWorld, gatedStore, putNote } from "./test-world.ts";

let world: TestWorld;
let host: TestHost;
let tenant: LoadedTenant;
let gate: ReturnType<typeof gatedStore>;

beforeEach(async () => {
  world = await TestWorld.open();
  gate = gatedStore(world.store);
  host = world.host({ store: gate.store });
  tenant = (await world.at(host, world.create(host))) as LoadedTenant;
  await putNote(tenant, "a");
});
afterEach(() => world.close());

test("an image tells when its newest commit was cut", async () => {
  const { cuts } = tenant.database(DATA_DB);
  const before = await cuts.image();
  while (Date.now() <= (before?.timestampMs ?? Infinity)) await Bun.sleep(1);
  const startMs = Date.now();
  await putNote(tenant, "b");
  expect((await cuts.image())?.timestampMs).toBeGreaterThanOrEqual(startMs);
});

test("an image is nobody's before its cut is durable", async () => {
  gate.close();
  const { cuts } = tenant.database(DATA_DB);
  const order: string[] = [];
  const written = putNote(tenant, "b").then(() => order.push("written"));
  const taken = cuts.image().then((image) => order.push(image === undefined ? "none" : "image"));
  while (cuts.isAwaited) await Bun.sleep(1);
  await Bun.sleep(0);
  expect(order).toEqual([]);
  gate.open();
  await Promise.all([written, taken]);
  expect(order.toSorted()).toEqual(["image", "written"]);
});

test("an image that is asked for while another process commits has that commit", async () => {
  const database = tenant.database(DATA_DB);
  let image: ReturnType<typeof database.cuts.image> | undefined;
  await database.lend(tenant.observe(), async ({ path, commit }) => {
    const elsewhere = new Database(path);
    await commit(() => {
      image = database.cuts.image();
      elsewhere.run("INSERT INTO notes (text) VALUES ('elsewhere')");
      return Promise.resolve();
    });
    elsewhere.close();
  });
  expect(Buffer.from((await image)?.image ?? []).includes("elsewhere")).toBe(true);
});

test("who waits for an image of a database that is closed gets none", async () => {
  const { cuts } = tenant.database(DATA_DB);
  const written = tenant.data.write(tenant.observe(), (tx) =>
    tx.run("INSERT INTO notes (text) VALUES ('b')"),
  );
  const image = cuts.image();
  expect(cuts.isAwaited).toBe(true);
  host.abandon();
  expect(await image).toBeUndefined();
  await Promise.allSettled([written]);
});

test("a WAL that is in the file is emptied when nobody writes, and what is seldom used closed with it", async () => {
  const seen = tenant.observe();
  await tenant.database(AUXILIARY_DB).write(seen, (tx) => tx.exec("CREATE TABLE t (a)"));
  await seen.settled();
  expect(host.metrics()["secondaries_open"]).toBe(1);
  const { cuts } = tenant.database(AUXILIARY_DB);
  const writing = tenant.observe();
  await tenant.database(AUXILIARY_DB).write(writing, (tx) => {
    tx.run("INSERT INTO t VALUES (1)");
    cuts.truncateWal();
    expect(host.metrics()["secondaries_open"]).toBe(1);
  });
  await writing.settled();
  while (tenant.database(AUXILIARY_DB).position.dirty) await Bun.sleep(1);
  cuts.truncateWal();
  expect(host.metrics()["secondaries_open"]).toBe(0);
});
