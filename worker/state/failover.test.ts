/** What is left of a tenant's small values when its worker dies, over the object store alone. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Epoch, TenantId } from "../../shared/ids.ts";
import { decodeLogFooter, decodeLogObject } from "../../shared/log/decode.ts";
import type { StateEntry } from "../../shared/log/log.ts";
import { decodeState } from "../../shared/log/state.ts";
import { logPrefix } from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import { keyringFile } from "../encryption/encryption-fixture.ts";
import { type KeyProvider, openKeyProvider } from "../encryption/key-provider.ts";
import type { Tenant } from "../tenant/contract.ts";
import type { LoadedTenant } from "../tenant/loaded-tenant.ts";
import { ManualClock } from "../tenant/manual-clock.ts";
import { type TestHost, TestWorld, codeOf, notes, putNote } from "../tenant/test-world.ts";

let directory: string;
let keyProvider: KeyProvider;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "state-failover-"));
  keyProvider = openKeyProvider(`local:${keyringFile(directory, ["one"])}`);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let world: TestWorld;
let clock: ManualClock;
beforeEach(async () => {
  world = await TestWorld.open();
  clock = new ManualClock();
});
afterEach(() => world.close());

const host = (): TestHost => world.host({ keyProvider, clock, store: clock.timed(world.store) });

/** Somebody who counts. */
function counter(tenant: Tenant): { given: string | undefined; set(text: string): void } {
  let now: string | undefined;
  const { given, changed } = tenant.carry("count", () => now);
  now = given;
  return {
    given,
    set(text) {
      now = text === "" ? undefined : text;
      changed();
    },
  };
}

async function logOf(of: TestHost): Promise<[string, Uint8Array][]> {
  const found: [string, Uint8Array][] = [];
  for await (const { key } of listAll(world.store, { prefix: logPrefix(of.incarnation) })) {
    found.push([key, (await getBytes(world.store, key)) as Uint8Array]);
  }
  return found;
}

async function statesOf(of: TestHost): Promise<StateEntry[][]> {
  const objects = await logOf(of);
  return objects.map(([, bytes]) => decodeLogObject(bytes).entries.filter((entry) => entry.kind === "state"));
}

const valuesOf = async (of: TestHost): Promise<(string | undefined)[]> =>
  (await statesOf(of)).map(([entry]) => (entry === undefined ? undefined : decodeState(entry.body)["count"]));

async function died(dead: TestHost): Promise<TestHost> {
  dead.abandon();
  const next = host();
  await world.takeOver(dead, next);
  return next;
}

const givenTo = async (at: TestHost, id: TenantId): Promise<string | undefined> =>
  counter(await world.at(at, id)).given;

test("values ride in an object that is written anyway, else alone after a second, at most once a second, and then never again", async () => {
  const first = host();
  const tenant = await world.at(first, world.create(first));
  const count = counter(tenant);
  await putNote(tenant, "one");
  const { timers } = clock;
  count.set("a");
  count.set("b");
  expect(clock.timers).toBe(timers + 1);
  await putNote(tenant, "two");
  count.set("c");
  await putNote(tenant, "three");
  expect(await valuesOf(first)).toEqual([undefined, "b", undefined]);
  await clock.pass(1_000);
  expect(await valuesOf(first)).toEqual([undefined, "b", undefined, "c"]);
  expect(clock.timers).toBe(timers);
  await clock.pass(60_000);
  expect((await valuesOf(first)).length).toBe(4);
});

test("a tenant that counts nothing, and one that only asked, cost no timer and no object", async () => {
  const first = host();
  const [idle, asked] = [world.create(first), world.create(first)];
  await world.at(first, idle);
  const { timers } = clock;
  counter(await world.at(first, asked));
  expect(clock.timers).toBe(timers);
  await clock.pass(10_000);
  expect(await logOf(first)).toEqual([]);
});

test("the next owner counts on, and so does the one after it, if nobody counted in between", async () => {
  const first = host();
  const [one, other] = [world.create(first), world.create(first)];
  counter(await world.at(first, one)).set("of one");
  counter(await world.at(first, other)).set("of other");
  await clock.pass(1_000);
  const second = await died(first);
  expect([await givenTo(second, one), await givenTo(second, other)]).toEqual(["of one", "of other"]);
  await clock.pass(1_000);
  const third = await died(second);
  expect([await givenTo(third, one), await givenTo(third, other)]).toEqual(["of one", "of other"]);
});

test("what is gone does not come back", async () => {
  const first = host();
  const id = world.create(first);
  const count = counter(await world.at(first, id));
  count.set("a");
  await clock.pass(1_000);
  count.set("");
  await clock.pass(1_000);
  expect(await givenTo(await died(first), id)).toBeUndefined();
});

test("of an encrypted tenant they are sealed, and bound to it and its epoch", async () => {
  const first = host();
  const id = world.create(first, "durable", { encrypted: true });
  counter(await world.at(first, id)).set("Rumpelstilzchen");
  await clock.pass(1_000);
  const [entry] = (await statesOf(first)).flat();
  expect(entry?.encrypted).toBe(true);
  expect(Buffer.from(entry?.body ?? "").includes("Rumpel")).toBe(false);
  expect(await givenTo(await died(first), id)).toBe("Rumpelstilzchen");
});

test("a STATE that is damaged is given up with a warning; the tenant is served", async () => {
  const first = host();
  const id = world.create(first);
  const tenant = await world.at(first, id);
  counter(tenant).set("a");
  await putNote(tenant, "kept");
  const [[key, bytes]] = (await logOf(first)) as [[string, Uint8Array]];
  const state = decodeLogFooter(bytes, bytes.length).index.find(({ kind }) => kind === "state");
  const at = (state?.offset ?? 0) + (state?.length ?? 0) - 12;
  bytes[at] = (bytes[at] as number) ^ 1;
  await world.store.put(key, bytes);
  const second = await died(first);
  const loaded = await world.at(second, id);
  expect([counter(loaded).given, notes(loaded)]).toEqual([undefined, ["kept"]]);
  expect(world.errors.map((error) => (error as Error).message)).toEqual([
    expect.stringMatching(/^Cannot resume the counters of tenant \w+: .*checksum/),
  ]);
});

test("a release logs them exactly, for a worker that dies before control has heard of it", async () => {
  const first = host();
  const id = world.create(first);
  const count = counter(await world.at(first, id));
  count.set("a");
  await clock.pass(1_000);
  count.set("b");
  await first.release(id);
  expect(await givenTo(await died(first), id)).toBe("b");
});

test("a worker that dies with a tenant that it had once before leaves nothing of that time", async () => {
  const first = host();
  const id = world.create(first);
  counter(await world.at(first, id)).set("old");
  const second = host();
  world.give(id, await first.release(id), second);
  const there = await world.at(second, id);
  world.give(id, await second.release(there.id), first);
  await world.at(first, id);
  expect(await givenTo(await died(first), id)).toBeUndefined();
});

test("what a dead owner logged is newer than what a release before it left with control", async () => {
  const first = host();
  const id = world.create(first);
  counter(await world.at(first, id)).set("released");
  const tenant = await world.at(first, id);
  const second = host();
  world.give(id, await first.release(id), second);
  world.known(id).carried = first.carriedBy(tenant).carried;
  const count = counter(await world.at(second, id));
  expect(count.given).toBe("released");
  count.set("logged");
  await clock.pass(1_000);
  expect(await givenTo(await died(second), id)).toBe("logged");
});

test("a tail of an epoch that control does not tell says nothing", async () => {
  const first = host();
  const id = world.create(first);
  counter(await world.at(first, id)).set("a");
  await clock.pass(1_000);
  const second = await died(first);
  for (const tail of world.known(id).tails) delete tail.epoch;
  expect(await givenTo(second, id)).toBeUndefined();
});

test("a tenant that stopped and is loaded again by the same worker counts on", async () => {
  const first = host();
  const id = world.create(first);
  const tenant = (await world.at(first, id)) as LoadedTenant;
  await putNote(tenant, "one");
  counter(tenant).set("a");
  tenant.broken(new Error("a test stops it"));
  expect(await codeOf(() => tenant.checkHere())).toBe("tenant_stopped");
  const again = await world.at(first, id);
  expect(again).not.toBe(tenant);
  counter(again).set("b");
  await clock.pass(1_000);
  expect((await valuesOf(first)).at(-1)).toBe("b");
  expect(world.known(id).epoch).toBe(1 as Epoch);
});
