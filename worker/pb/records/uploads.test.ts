import { afterEach, beforeEach, expect, test } from "bun:test";
import PocketBase from "pocketbase";
import { storageKey, storagePrefix } from "../../../shared/objects/layout.ts";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { type FaultPlan, faultyStore } from "../../objects/faults.ts";

let plan: FaultPlan = () => undefined;
let api: TestApi;
let root: PocketBase;

beforeEach(async () => {
  plan = () => undefined;
  api = await startTestApi("durable", {
    wrapStore: (store) => faultyStore(store, (operation, key) => plan(operation, key)),
  });
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "docs",
    type: "base",
    fields: [
      { name: "title", type: "text" },
      { name: "files", type: "file", maxSelect: 9 },
    ],
    indexes: ["CREATE UNIQUE INDEX docs_title ON docs (title)"],
  });
});
afterEach(() => api.close());

const file = (name: string, text = "text"): File => new File([text], name);
const failed = (error: unknown): number => (error as { status: number }).status;
const isUpload = (key: string): boolean => key.includes("/storage/");

async function stored(): Promise<string[]> {
  const prefix = storagePrefix(api.tenant.id);
  const { objects } = await api.world.store.list({ prefix, limit: 100 });
  return objects.map(({ key }) => key.slice(prefix.length).replace(/_\w{10}\./, "."));
}

test.each(["failBefore", "lostAnswer"] as const)(
  "an upload that fails (%s) leaves nothing behind, of the files beside it neither",
  async (kind) => {
    let puts = 0;
    plan = (operation, key) => {
      if (operation !== "put" || !isUpload(key)) return undefined;
      puts += 1;
      return puts === 2 ? { kind } : { kind: "delay", ms: 50 };
    };
    const files = ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"].map((name) => file(name));
    const created = root.collection("docs").create({ title: "never", files });
    expect(await created.then(() => 200, failed)).toBe(503);
    await Bun.sleep(100);
    expect(await stored()).toEqual([]);
    expect((await root.collection("docs").getList(1, 1)).totalItems).toBe(0);
  },
);

test("a record that is refused leaves nothing behind; an update neither, and what was there stays", async () => {
  await root.collection("docs").create({ title: "taken" });
  const twice = root.collection("docs").create({ title: "taken", files: [file("a.txt")] });
  expect(await twice.then(() => 200, failed)).toBe(400);
  expect(await stored()).toEqual([]);
  const { id, collectionId } = await root
    .collection("docs")
    .create({ title: "mine", files: [file("bee.txt")] });
  const update = root.collection("docs").update(id, { title: "taken", "files+": file("c.txt") });
  expect(await update.then(() => 200, failed)).toBe(400);
  expect(await stored()).toEqual([`${collectionId}/${id}/bee.txt`]);
});

test("a batch that fails leaves nothing behind", async () => {
  await root.settings.update({ batch: { enabled: true } });
  const batch = root.createBatch();
  batch.collection("docs").create({ title: "one", files: [file("a.txt")] });
  batch.collection("docs").create({ title: "one", files: [file("bee.txt")] });
  expect(await batch.send().then(() => 200, failed)).toBe(400);
  expect(await stored()).toEqual([]);
});

test("files are in the store before the record that names them is in the log", async () => {
  const order: string[] = [];
  plan = (operation, key) => {
    if (isUpload(key) || key.endsWith(".wlog")) order.push(isUpload(key) ? "upload" : "log");
    return operation === "put" && isUpload(key) ? { kind: "delay", ms: 100 } : undefined;
  };
  const { id, collectionId, files } = await root
    .collection("docs")
    .create({ title: "x", files: [file("a.txt")] });
  const upload = order.indexOf("upload");
  expect(upload).toBeGreaterThanOrEqual(0);
  expect(order.indexOf("log", upload)).toBeGreaterThan(upload);
  expect(await api.world.store.head(storageKey(api.tenant.id, collectionId, id, files[0]))).toBeDefined();
});

test("equal content on an existing key is success", async () => {
  const { id, collectionId, files } = await root
    .collection("docs")
    .create({ title: "x", files: [file("a.txt")] });
  const key = storageKey(api.tenant.id, collectionId, id, files[0]);
  await api.tenant.objects.put(key, new TextEncoder().encode("text"));
  // The store has the effect and its answer is lost: whoever sends it again succeeds.
  plan = (operation) => (operation === "put" ? { kind: "duplicate" } : undefined);
  await root.collection("docs").create({ title: "y", files: [file("bee.txt")] });
  expect(await stored()).toHaveLength(2);
});
