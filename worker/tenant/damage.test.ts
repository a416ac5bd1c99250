import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { SystemError } from "../../shared/errors.ts";
import { DATA_DB, type TenantId, hex16 } from "../../shared/ids.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { ltxPrefix, tenantPrefix } from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import { type TestHost, TestWorld, codeOf, notes, putNote } from "./test-world.ts";

let world: TestWorld;
beforeEach(async () => void (world = await TestWorld.open()));
afterEach(() => world.close());

async function keys(prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of listAll(world.store, { prefix })) found.push(key);
  return found;
}

/** A tenant that has left one worker and is to be loaded by the next. */
async function released(texts: readonly string[]): Promise<{ id: TenantId; next: TestHost; key: string }> {
  const host = world.host();
  const id = world.create(host);
  const tenant = await world.at(host, id);
  for (const text of texts) await putNote(tenant, text);
  const next = world.host();
  world.give(id, await host.release(id), next);
  const [key = ""] = await keys(ltxPrefix(id, DATA_DB));
  return { id, next, key };
}

/** The store, but for some of its calls. */
function changed(store: ObjectStore, calls: Partial<ObjectStore>): ObjectStore {
  return new Proxy(store, {
    get(target, name): unknown {
      const value: unknown = Reflect.get(calls, name) ?? Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const DAMAGES: { name: string; code: string; change: (bytes: Uint8Array) => Uint8Array }[] = [
  { name: "a changed page", code: "object_corrupt", change: (bytes) => bytes.with(bytes.length >> 1, 1) },
  { name: "a changed checksum", code: "object_corrupt", change: (bytes) => bytes.with(bytes.length - 1, 7) },
  { name: "a cut file", code: "object_corrupt", change: (bytes) => bytes.subarray(0, bytes.length - 9) },
  { name: "an empty file", code: "object_corrupt", change: () => new Uint8Array() },
  { name: "another kind of file", code: "object_corrupt", change: (bytes) => bytes.with(0, 0x50) },
  { name: "a format of the future", code: "object_version", change: (bytes) => bytes.with(3, 0x32) },
  { name: "flags of the future", code: "object_version", change: (bytes) => bytes.with(7, 6) },
  { name: "a file of other TXIDs", code: "object_foreign", change: (bytes) => bytes.with(31, 9) },
];

describe("a damaged object under the prefix", () => {
  for (const { name, code, change } of DAMAGES) {
    test(`${name} is ${code}: nothing is served, kept or changed, and the right object heals it`, async () => {
      const { id, next, key } = await released(["one", "two"]);
      const right = (await getBytes(world.store, key)) as Uint8Array;
      const wrong = change(right.slice());
      await world.store.put(key, wrong);
      const before = await keys("tenants/");
      const error: unknown = await world.at(next, id).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code, hint: expect.stringMatching(/./) });
      expect(String(error)).toContain(key);
      expect(existsSync(join(world.directory, hex16(next.incarnation), id))).toBe(false);
      expect(await keys("tenants/")).toEqual(before);
      expect(await getBytes(world.store, key)).toEqual(wrong);
      await world.store.put(key, right);
      expect(notes(await world.at(next, id))).toEqual(["one", "two"]);
    });
  }

  test("another tenant's file in its place is object_foreign", async () => {
    const { id, next, key } = await released(["one", "two"]);
    const other = await released(["one", "two", "three"]);
    await world.store.put(key, (await getBytes(world.store, other.key)) as Uint8Array);
    expect(await codeOf(() => world.at(next, id))).toBe("object_foreign");
  });
});

test("a store that fails in the middle of a load is store_unavailable, and nothing is left on disk", async () => {
  const { id } = await released(["one"]);
  let fails = true;
  const get: ObjectStore["get"] = (key, options) =>
    fails && key.startsWith(tenantPrefix(id))
      ? Promise.reject(new SystemError("store_unavailable", "Cannot read"))
      : world.store.get(key, options);
  const host = world.host({ store: changed(world.store, { get }) });
  world.known(id).incarnation = host.incarnation;
  expect(await codeOf(() => world.at(host, id))).toBe("store_unavailable");
  expect(readdirSync(join(world.directory, hex16(host.incarnation)))).not.toContain(id);
  fails = false;
  expect(notes(await world.at(host, id))).toEqual(["one"]);
});

test("a release that fails half-way leaves a tenant that serves, writes, and can be released again", async () => {
  let fails = false;
  const putIfAbsent: ObjectStore["putIfAbsent"] = (key, body, options) =>
    fails && key.includes("/litestream/")
      ? Promise.reject(new SystemError("internal", "Cannot store"))
      : world.store.putIfAbsent(key, body, options);
  const host = world.host({ store: changed(world.store, { putIfAbsent }) });
  const id = world.create(host);
  await putNote(await world.at(host, id), "one");
  fails = true;
  expect(await codeOf(() => host.release(id))).toBe("internal");
  fails = false;
  const again = await world.at(host, id);
  await putNote(again, "two");
  expect(notes(again)).toEqual(["one", "two"]);
  const next = world.host();
  world.give(id, await host.release(id), next);
  expect(notes(await world.at(next, id))).toEqual(["one", "two"]);
});
