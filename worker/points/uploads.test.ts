/** What becomes of uploads that no record names any more. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { TenantId } from "../../shared/ids.ts";
import { newTenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import {
  droppedPrefix,
  pinKey,
  storageKey,
  storagePrefix,
  tenantPrefix,
} from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import { type CountedStore, countedStore } from "../objects/counted.ts";
import type { Tenant } from "../tenant/contract.ts";
import { ManualClock } from "../tenant/manual-clock.ts";
import { type TestHost, TestWorld, putNote } from "../tenant/test-world.ts";
import { noteDropped } from "./dropped-uploads.ts";
import { pinBranch } from "./pin-branch.ts";

const HOUR = 60 * 60_000;
const DAY = 24 * HOUR;
let world: TestWorld;
let clock: ManualClock;
let store: CountedStore;
let host: TestHost;
let id: TenantId;
let tenant: Tenant;
let named: Set<string>;
beforeEach(async () => {
  world = await TestWorld.open();
  clock = new ManualClock();
  store = countedStore(clock.timed(world.store));
  named = new Set();
  host = newHost();
  id = world.create(host);
  tenant = await world.at(host, id);
});
afterEach(() => world.close());

const newHost = (): TestHost =>
  world.host({ store, clock, namedUploads: (_, keys) => new Set(keys.filter((key) => named.has(key))) });
const key = (name: string): string => storageKey(id, "c", "r", name);
const put = (name: string): Promise<void> => store.put(key(name), new TextEncoder().encode(name));
const drop = (...names: string[]): Promise<void> => noteDropped(store, id, names.map(key), {});

async function stored(prefix = storagePrefix(id)): Promise<string[]> {
  return (await Array.fromAsync(listAll(world.store, { prefix }))).map((one) => one.key.slice(prefix.length));
}

/** Days with a change each, so that maintenance comes by. */
async function days(count: number): Promise<void> {
  for (let day = 0; day < count; day++) {
    await putNote(tenant, "x");
    await clock.pass(DAY);
  }
}

/** Until what was dropped is announced to go. */
async function condemned(): Promise<void> {
  while ((await stored(droppedPrefix(id))).some((name) => name.endsWith(".json"))) {
    await putNote(tenant, "x");
    await clock.pass(HOUR / 2);
  }
}

describe("an upload that was dropped", () => {
  test("stays for 30 days and a day, then goes, by way of a record that says so", async () => {
    await put("a");
    await put("b");
    named.add(key("b"));
    await drop("a");
    await days(31);
    expect(await stored()).toEqual(["c/r/a", "c/r/b"]);
    await days(2);
    expect(await stored()).toEqual(["c/r/b"]);
    expect((await stored(droppedPrefix(id))).filter((name) => name.endsWith(".json"))).toEqual([]);
    expect(await stored(`${tenantPrefix(id)}condemned/`)).toEqual([]);
    expect(world.errors).toEqual([]);
  }, 30_000);

  test("stays when a record names it again, and counts anew from when all records were replaced", async () => {
    await put("a");
    await put("b");
    await drop("a", "b");
    await days(20);
    named.add(key("a"));
    await store.put(`${droppedPrefix(id)}replaced`, new Uint8Array(1));
    await days(20);
    expect(await stored()).toEqual(["c/r/a", "c/r/b"]);
    await days(14);
    expect(await stored()).toEqual(["c/r/a"]);
  }, 30_000);

  test("stays when it is stored anew, or named, between the announcement and the deletion", async () => {
    for (const name of ["again", "named", "gone"]) await put(name);
    await drop("again", "named", "gone");
    await days(30);
    await condemned();
    await put("again");
    named.add(key("named"));
    await days(1);
    expect(await stored()).toEqual(["c/r/again", "c/r/named"]);
  }, 30_000);

  test("is announced anew by the next owner", async () => {
    await put("a");
    await drop("a");
    await days(30);
    await condemned();
    const base = await host.release(id);
    const next = newHost();
    world.give(id, base, next);
    tenant = await world.at(next, id);
    await days(1);
    expect(await stored()).toEqual([]);
    expect(await stored(`${tenantPrefix(id)}condemned/`)).toEqual([]);
  }, 30_000);

  test("stays as long as a branch that began before may name it", async () => {
    await put("a");
    await putNote(tenant, "x");
    const branch = newTenantId((n) => crypto.getRandomValues(new Uint8Array(n)));
    await pinBranch(tenant, { branch }, AbortSignal.timeout(10_000));
    await drop("a");
    await days(60);
    expect(await stored()).toEqual(["c/r/a"]);
    await store.delete([pinKey(id, branch)]);
    await days(2);
    expect(await stored()).toEqual([]);
  }, 30_000);
});

describe("uploads that a crash left behind", () => {
  test("are found by a sweep once they are a day old, and go as others do; what records name stays", async () => {
    await put("orphan");
    await put("kept");
    named.add(key("kept"));
    await days(3);
    expect((await stored(droppedPrefix(id))).filter((name) => name.endsWith(".json"))).toHaveLength(1);
    expect(await stored()).toEqual(["c/r/kept", "c/r/orphan"]);
    await days(33);
    expect(await stored()).toEqual(["c/r/kept"]);
  }, 30_000);

  test("are looked for at most once a day, and not at all where nothing changes", async () => {
    const sweeps = (): number => store.requests({ kind: "list", purpose: "storage" });
    await putNote(tenant, "x");
    await clock.pass(2 * HOUR);
    expect(sweeps()).toBe(1);
    for (let i = 0; i < 6; i++) {
      await putNote(tenant, "x");
      await clock.pass(2 * HOUR);
    }
    expect(sweeps()).toBe(1);
    await clock.pass(DAY);
    await clock.pass(limits.bundleKeepMs + 3 * DAY);
    const before = sweeps();
    await clock.pass(20 * DAY);
    expect(sweeps()).toBe(before);
  }, 30_000);
});
