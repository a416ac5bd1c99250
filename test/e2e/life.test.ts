import { afterAll, beforeAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import PocketBase, { type ClientResponseError } from "pocketbase";
import type { TenantId } from "../../shared/ids.ts";
import { metadataPrefix, tenantPrefix } from "../../shared/objects/layout.ts";
import { openObjectStore } from "../../worker/objects/open.ts";
import { type AllInOne, startAllInOne, temporaryDirectory } from "./all-in-one.ts";
import { eventually, killAll } from "./process.ts";

/** A tenant's life on the whole platform, by the command line tool, seen by the official SDK. */
const data = temporaryDirectory();
let platform: AllInOne;
let client: PocketBase;

interface View {
  id: string;
  state: string;
  epoch: number;
}

const tool = async (...words: string[]): Promise<View> => {
  const { status, output, errors } = await platform.manybase(...words, "--json");
  if (status !== 0) throw new Error(errors);
  return JSON.parse(output) as View;
};
const becomes = (state: string): Promise<View> =>
  eventually(async () => {
    const view = await tool("tenants", "get", "acme");
    expect(view.state).toBe(state);
    return view;
  });
const statusOf = (request: Promise<unknown>): Promise<number> =>
  request.then(
    () => 200,
    (error: unknown) => (error as ClientResponseError).status,
  );
const list = () => client.collection("notes").getFullList();

beforeAll(async () => {
  platform = await startAllInOne(data);
  await tool("tenants", "create", "acme");
  await tool("tenants", "superuser", "acme", "root@example.com", "root-password-1");
  client = new PocketBase(platform.url("acme"));
  client.autoCancellation(false);
  await client.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
  await client.collections.create({ name: "notes", type: "base", fields: [{ name: "text", type: "text" }] });
  await client.collection("notes").create({ text: "kept" });
}, 60_000);

afterAll(async () => {
  await killAll();
  rmSync(data, { recursive: true, force: true });
});

test("evicted: no local file is left; the next request brings everything back under the next epoch", async () => {
  const before = await tool("tenants", "get", "acme");
  const evicted = await tool("tenants", "evict", "acme");
  expect(evicted).toMatchObject({ state: "evicted", epoch: before.epoch });
  const local = [...new Bun.Glob(`worker/*/${before.id}/**`).scanSync(data)];
  expect(local).toEqual([]);
  expect((await list()).map(({ text }) => String(text))).toEqual(["kept"]);
  expect((await becomes("active")).epoch).toBe(before.epoch + 1);
});

test("suspended: refused at once; resumed: served again", async () => {
  await tool("tenants", "suspend", "acme");
  await eventually(async () => expect(await statusOf(list())).toBe(403));
  await tool("tenants", "resume", "acme");
  await eventually(async () => expect(await statusOf(list())).toBe(200));
});

test("renamed and made async: the old name is gone, the new one has the data", async () => {
  await tool("tenants", "update", "acme", "--slug", "renamed", "--durability", "async");
  await eventually(async () => expect(await statusOf(list())).toBe(404));
  client.baseURL = platform.url("renamed");
  expect(await list()).toHaveLength(1);
  await tool("tenants", "update", "renamed", "--slug", "acme", "--durability", "durable");
  client.baseURL = platform.url("acme");
  await eventually(async () => expect(await statusOf(list())).toBe(200));
});

test("deleted: refused; recovered: whole; purged: no object is left and the name is free", async () => {
  const { id } = await tool("tenants", "delete", "acme");
  await eventually(async () => expect(await statusOf(list())).toBe(404));
  await tool("tenants", "recover", "acme");
  await eventually(async () => expect(await statusOf(list())).toBe(200));
  const store = await openObjectStore(`file:${join(data, "store")}`, {});
  // That there was such a tenant, and when it went, control remembers.
  const remembered = metadataPrefix(id as TenantId);
  const objects = async (): Promise<number> =>
    (await store.list({ prefix: tenantPrefix(id as TenantId) })).objects.filter(
      ({ key }) => !key.startsWith(remembered),
    ).length;
  expect(await objects()).toBeGreaterThan(0);
  await tool("tenants", "delete", "acme", "--retain-seconds", "0");
  await eventually(async () => {
    const { status } = await platform.manybase("tenants", "get", "acme");
    expect(status).toBe(1);
  });
  expect(await objects()).toBe(0);
  await store.close();
  const again = await tool("tenants", "create", "acme");
  expect(again.id).not.toBe(id);
  expect(await statusOf(list())).toBe(404);
});

test("health, tokens and the audit log are there for the tool", async () => {
  expect((await platform.manybase("platform", "health")).output).toContain("workers wanted");
  const made = (await tool("tokens", "create", "ci", "--scopes", "read,write")) as unknown as { id: string };
  expect((await platform.manybase("tokens", "list")).output).toContain("read,write");
  await tool("tokens", "revoke", made.id);
  const { output } = await platform.manybase("platform", "audit", "--limit", "5");
  expect(output).toContain("token.revoke");
  expect(output).toContain("More: --before ");
});
