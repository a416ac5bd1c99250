/** Points in time and branches through the whole platform, by the command line tool and PocketBase's own client. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import PocketBase from "pocketbase";
import { listAll } from "../../shared/objects/read.ts";
import { openObjectStore } from "../../worker/objects/open.ts";
import { type AllInOne, startAllInOne, temporaryDirectory } from "./all-in-one.ts";
import { killAll } from "./process.ts";

setDefaultTimeout(60_000);

const data = temporaryDirectory();
let platform: AllInOne;
let root: PocketBase;

beforeAll(async () => {
  platform = await startAllInOne(data);
  await platform.manybase("tenants", "create", "acme");
  await platform.manybase("tenants", "superuser", "acme", "root@example.com", "root-password-1");
  root = await rootOf("acme");
  await root.collections.create({
    name: "notes",
    type: "base",
    listRule: "",
    fields: [
      { name: "text", type: "text" },
      { name: "file", type: "file", maxSelect: 1 },
    ],
  });
});

afterAll(async () => {
  await killAll();
  rmSync(data, { recursive: true, force: true });
});

async function rootOf(slug: string): Promise<PocketBase> {
  const client = new PocketBase(platform.url(slug));
  client.autoCancellation(false);
  await client.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
  return client;
}

const texts = async (client: PocketBase): Promise<string[]> =>
  (await client.collection("notes").getFullList({ sort: "text" })).map(({ text }) => String(text));

const file = (text: string): File => new File([text], "note.txt", { type: "text/plain" });

async function fileOf(client: PocketBase, text: string): Promise<{ status: number; body: string }> {
  const record = await client.collection("notes").getFirstListItem(client.filter("text = {:text}", { text }));
  const response = await fetch(client.files.getURL(record, String(record["file"])));
  return { status: response.status, body: await response.text() };
}

async function manybase(...words: string[]): Promise<Record<string, unknown>> {
  const { status, output, errors } = await platform.manybase(...words, "--json");
  if (status !== 0) throw new Error(`manybase ${words.join(" ")}: ${errors}`);
  return JSON.parse(output) as Record<string, unknown>;
}

test("a tenant goes back to a TXID and to a time, and the restore is undone", async () => {
  await root.collection("notes").create({ text: "first", file: file("of first") });
  const after = await fetch(`${platform.url("acme")}/api/collections/notes/records`);
  const txid = Number(/data\.db=([0-9]+)/.exec(after.headers.get("x-txid") ?? "")?.[1]);
  expect(txid).toBeGreaterThan(0);
  await Bun.sleep(20);
  const time = new Date().toISOString();
  await Bun.sleep(20);
  await root.collection("notes").create({ text: "second", file: file("of second") });
  const [first] = await root.collection("notes").getFullList({ filter: "text = 'first'" });
  const link = root.files.getURL(first as never, String(first?.["file"]));
  await root.collection("notes").delete(String(first?.id));
  expect((await fetch(link)).status).toBe(404);
  expect(await texts(root)).toEqual(["second"]);

  const points = await manybase("tenants", "points", "acme");
  expect(JSON.stringify(points)).toContain("data.db");
  const report = await manybase("tenants", "restore", "acme", "--at", String(txid));
  expect(report).toMatchObject({ point: { txid }, exact: true });
  expect(await texts(root)).toEqual(["first"]);
  // The upload of the deleted record was kept.
  expect(await fileOf(root, "first")).toEqual({ status: 200, body: "of first" });

  await manybase("tenants", "restore", "acme", "--at", String(report["before"]));
  expect(await texts(root)).toEqual(["second"]);
  expect((await fetch(link)).status).toBe(404);
  await manybase("tenants", "restore", "acme", "--at", time);
  expect(await texts(root)).toEqual(["first"]);
  const refused = await platform.manybase("tenants", "restore", "acme", "--at", "2001-01-01T00:00:00Z");
  expect(refused.status).toBe(1);
  expect(refused.errors).toContain("Nearest is");
});

test("a branch begins as its parent was, both go on, and it outlives the parent's purge whole", async () => {
  const made = await manybase("tenants", "branch", "acme", "acme-next");
  expect(made).toMatchObject({ tenant: { slug: "acme-next" }, exact: true });
  const branch = await rootOf("acme-next");
  expect(await texts(branch)).toEqual(["first"]);
  await branch.collection("notes").create({ text: "of the branch", file: file("of the branch") });
  await root.collection("notes").create({ text: "of the parent", file: file("of the parent") });
  expect(await texts(branch)).toEqual(["first", "of the branch"]);
  expect(await texts(root)).toEqual(["first", "of the parent"]);
  expect(await fileOf(branch, "first")).toEqual({ status: 200, body: "of first" });
  const parent = await manybase("tenants", "get", "acme");
  expect(await manybase("tenants", "get", "acme-next")).toMatchObject({ origin: parent["id"] });

  const objects = `tenants/${String(parent["id"])}/`;
  expect(await keys(`${objects}pins/`)).toHaveLength(1);
  await manybase("tenants", "delete", "acme", "--retain-seconds", "0");
  // That it was there, and when it went, control remembers.
  await until(async () => (await keys(objects)).every((key) => key.startsWith(`${objects}metadata/`)));
  expect(await manybase("tenants", "get", "acme-next")).not.toHaveProperty("origin");
  await manybase("tenants", "evict", "acme-next");
  const again = await rootOf("acme-next");
  expect(await texts(again)).toEqual(["first", "of the branch"]);
  expect(await fileOf(again, "first")).toEqual({ status: 200, body: "of first" });
  expect(await fileOf(again, "of the branch")).toEqual({ status: 200, body: "of the branch" });
});

test("a restore as a new tenant leaves the old one as it is; a branch of it and its detaching work, and deleting it frees its parent", async () => {
  const old = await rootOf("acme-next");
  const before = await fetch(`${platform.url("acme-next")}/api/collections/notes/records`);
  const txid = /data\.db=([0-9]+)/.exec(before.headers.get("x-txid") ?? "")?.[1] ?? "";
  await old.collection("notes").create({ text: "later" });
  await manybase("tenants", "restore", "acme-next", "--at", txid, "--as", "acme-old");
  expect(await texts(await rootOf("acme-old"))).toEqual(["first", "of the branch"]);
  expect(await texts(old)).toContain("later");
  await manybase("tenants", "branch", "acme-old", "acme-older");
  // The one in the middle stands alone since.
  expect(await manybase("tenants", "get", "acme-old")).not.toHaveProperty("origin");
  expect(await texts(await rootOf("acme-older"))).toEqual(["first", "of the branch"]);
  expect(await fileOf(await rootOf("acme-older"), "first")).toEqual({ status: 200, body: "of first" });
  const { id } = await manybase("tenants", "get", "acme-old");
  const pins = `tenants/${String(id)}/pins/`;
  expect(await keys(pins)).toHaveLength(1);
  await manybase("tenants", "delete", "acme-older", "--retain-seconds", "0");
  await until(async () => (await keys(pins)).length === 0);
  expect(await manybase("tenants", "detach", "acme-old")).not.toHaveProperty("origin");
});

async function keys(prefix: string): Promise<string[]> {
  const store = await openObjectStore(`file:${join(data, "store")}`, {});
  const found = await Array.fromAsync(listAll(store, { prefix }));
  await store.close();
  return found.map(({ key }) => key);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await Bun.sleep(50);
}
