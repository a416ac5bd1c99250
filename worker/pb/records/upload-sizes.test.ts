import { afterEach, beforeEach, expect, test } from "bun:test";
import PocketBase, { ClientResponseError } from "pocketbase";
import { storagePrefix } from "../../../shared/objects/layout.ts";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { bootstrap } from "../../model/bootstrap.ts";
import { usageOf } from "../../platform/usage.ts";
import { SQL_FUNCTIONS } from "../../query/functions.ts";
import { copyDatabase } from "../../tenant/copy.ts";
import { namedUploadsCounted, uploadBytesOf } from "./upload-sizes.ts";

const MIB = 1024 * 1024;
let api: TestApi;
let root: PocketBase;

async function start(storageBytesMax?: number): Promise<void> {
  api = await startTestApi("async", storageBytesMax === undefined ? {} : { storageBytesMax });
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "docs",
    type: "base",
    fields: [
      { name: "text", type: "text", max: 1_000_000 },
      { name: "files", type: "file", maxSelect: 9, maxSize: 10 * MIB },
    ],
  });
}

beforeEach(() => start(2 * MIB));
afterEach(() => api.close());

const file = (bytes: number): File => new File([new Uint8Array(bytes)], "a.bin");
const add = (bytes: number) => root.collection("docs").create({ files: [file(bytes)] });

async function refused(work: Promise<unknown>): Promise<{ status: number; message: string; data: unknown }> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof ClientResponseError) return error.response as never;
  throw new Error("expected an error");
}

async function stored(): Promise<number> {
  const page = await api.tenant.objects.list({ prefix: storagePrefix(api.tenant.id), limit: 100 });
  return page.objects.length;
}

test("files that are larger than what is left are refused before they are stored", async () => {
  expect(await refused(add(2 * MIB))).toMatchObject({
    status: 413,
    message: expect.stringContaining("left of the storage quota of 2097152."),
    data: {},
  });
  expect(await stored()).toBe(0);
  await add(MIB);
  expect((await refused(add(MIB))).status).toBe(413);
  expect(await stored()).toBe(1);
});

test("what records let go makes room", async () => {
  const { id } = await add(MIB);
  expect(await uploadBytesOf(api.tenant)).toBe(MIB);
  await root.collection("docs").update(id, { "files+": file(1_000) });
  expect(await uploadBytesOf(api.tenant)).toBe(MIB + 1_000);
  const { files } = await root.collection("docs").getOne<{ files: string[] }>(id);
  await root.collection("docs").update(id, { "files-": [files[0]] });
  expect(await uploadBytesOf(api.tenant)).toBe(1_000);
  await root.collection("docs").delete(id);
  await add(MIB);
  await root.collections.delete("docs");
  expect(await uploadBytesOf(api.tenant)).toBe(0);
});

test("a database that would grow beyond the quota is not written to; reads and deletions go on", async () => {
  const text = "x".repeat(200_000);
  const ids: string[] = [];
  let last: unknown;
  for (let count = 0; count < 20 && last === undefined; count++) {
    await root
      .collection("docs")
      .create({ text })
      .then(
        ({ id }) => ids.push(id),
        (error: unknown) => (last = error),
      );
  }
  expect((last as ClientResponseError).response).toMatchObject({
    status: 507,
    message: "Cannot write: the storage quota of 2097152 bytes is used up.",
    data: {},
  });
  const batch = root.createBatch();
  batch.collection("docs").create({ text });
  await root.settings.update({ batch: { enabled: true } });
  expect((await refused(batch.send())).status).toBe(507);
  expect((await root.collection("docs").getList(1, 1, { fields: "id" })).totalItems).toBe(ids.length);
  // Whoever is to make room can sign in.
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  for (const id of ids) await root.collection("docs").delete(id);
  await root.collection("docs").create({ text });
});

test("SQL stays within it, too", async () => {
  const sql = (query: string) => root.send("/api/sql", { method: "POST", body: { query } });
  const insert = (bytes: number) =>
    sql(`INSERT INTO docs (id, text) VALUES ('${bytes}', hex(randomblob(${bytes})))`);
  expect(await refused(insert(1_500_000))).toMatchObject({
    status: 507,
    message: "Cannot write: the storage quota of 2097152 bytes is used up.",
  });
  await insert(300_000);
  await sql("DELETE FROM docs");
  expect((await root.collection("docs").getList(1, 1)).totalItems).toBe(0);
});

test("what raw SQL deleted counts until maintenance asks for it", async () => {
  const { id } = await add(500_000);
  await add(300_000);
  await root.send("/api/sql", { method: "POST", body: { query: `DELETE FROM docs WHERE id = '${id}'` } });
  expect(await uploadBytesOf(api.tenant)).toBe(800_000);
  const { objects } = await api.tenant.objects.list({ prefix: storagePrefix(api.tenant.id), limit: 100 });
  const named = namedUploadsCounted(
    api.tenant,
    objects.map(({ key }) => key),
  );
  expect(named.size).toBe(1);
  // Not while the request that asks is served.
  await api.tenant.data.write(api.tenant.observe(), () => undefined);
  expect(await uploadBytesOf(api.tenant)).toBe(300_000);
});

test("whole databases beyond it replace nothing", async () => {
  await root.collection("docs").create({ text: "x".repeat(900_000) });
  const { tenant, world } = api;
  const { signal } = new AbortController();
  const path = await copyDatabase(tenant, tenant.observe(), tenant.data.name, world.directory, { signal });
  if (path === undefined) throw new Error("expected a database");
  const before = (await root.collection("docs").getFullList()).length;
  Object.assign(api.tenant.quota ?? {}, { bytesMax: 1_000_000 });
  const replaced = api.tenant.replaceDatabases(api.tenant.observe(), new Map([[api.tenant.data.name, path]]));
  expect(await replaced.catch((error: unknown) => error)).toMatchObject({ code: "storage_full" });
  expect((await root.collection("docs").getFullList()).length).toBe(before);
});

test("a quota that comes later counts what is there, once; usage tells", async () => {
  await api.close();
  await start();
  await add(3_000);
  await add(5_000);
  await api.tenant.objects.put(`${storagePrefix(api.tenant.id)}x/y/orphan.bin`, new Uint8Array(70));
  expect(await usageOf(api.tenant)).toMatchObject({ uploads: 8_000 });
  const { world, host, tenant } = api;
  await host.stop();
  const next = world.host({ bootstrap, sqlFunctions: SQL_FUNCTIONS });
  await world.takeOver(host, next);
  world.known(tenant.id).storageBytesMax = 2 * MIB;
  const again = await world.at(next, tenant.id);
  const usage = await usageOf(again);
  expect(usage.uploads).toBe(8_000);
  expect(usage.total).toBe(8_000 + Object.values(usage.databases).reduce((sum, bytes) => sum + bytes, 0));
  expect(usage.databases["data.db"]).toBeGreaterThan(100_000);
  expect(usage.storageBytesMax).toBe(2 * MIB);
});
