/** What background work leaves in object storage, and what it costs. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeLogHeader } from "../../shared/log/decode.ts";
import { condemnedKey, largeKey, logPrefix, tenantPrefix } from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import { type CountedStore, countedStore } from "../objects/counted.ts";
import type { Tenant } from "./contract.ts";
import { ManualClock } from "./manual-clock.ts";
import { type TestHost, TestWorld, newNonce, notes, putNote } from "./test-world.ts";

const HOUR = 60 * 60_000;
const DAY = 24 * HOUR;
let world: TestWorld;
let clock: ManualClock;
let store: CountedStore;
beforeEach(async () => {
  world = await TestWorld.open();
  clock = new ManualClock();
  store = countedStore(clock.timed(world.store));
});
afterEach(() => world.close());

async function started(): Promise<{ host: TestHost; id: TenantId; tenant: Tenant }> {
  const host = world.host({ store, clock });
  const id = world.create(host);
  return { host, id, tenant: await world.at(host, id) };
}

async function keys(prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of listAll(world.store, { prefix })) found.push(key.slice(prefix.length));
  return found;
}

const levels = async (id: TenantId, level: number): Promise<number> =>
  (await keys(`${tenantPrefix(id)}litestream/data.db/000${level}/`)).length;
const bundles = async (id: TenantId): Promise<number> =>
  (await keys(`${tenantPrefix(id)}flushes/data.db/`)).length;

/** Two notes and a file of level 1. */
async function change(tenant: Tenant, text: string): Promise<void> {
  await putNote(tenant, `${text}a`);
  await putNote(tenant, `${text}b`);
  await clock.pass(limits.materialiseAfterMs + 1_000);
}

describe("maintenance", () => {
  test("makes one file of level 2 an hour and one of level 3 a day, and clears what they hold", async () => {
    const { host, id, tenant } = await started();
    for (let i = 0; i < 4; i++) await change(tenant, `first ${i}`);
    expect([await levels(id, 9), await levels(id, 1), await levels(id, 2)]).toEqual([1, 3, 0]);
    expect(await bundles(id)).toBe(4);
    await clock.pass(HOUR);
    expect([await levels(id, 1), await levels(id, 2), await levels(id, 3)]).toEqual([3, 1, 0]);
    await change(tenant, "second");
    await clock.pass(HOUR + 10 * 60_000);
    expect([await levels(id, 1), await levels(id, 2), await levels(id, 3)]).toEqual([4, 2, 0]);
    await clock.pass(DAY);
    expect([await levels(id, 1), await levels(id, 2), await levels(id, 3)]).toEqual([4, 2, 1]);
    expect(host.metrics()["objects_deleted"]).toBe(0);
    // Level 1 and the flushes go after three days, after an hour in a record that says so.
    await clock.pass(3 * DAY);
    expect([await levels(id, 1), await levels(id, 2), await levels(id, 3)]).toEqual([0, 2, 1]);
    expect(await bundles(id)).toBe(0);
    expect(await keys(`${tenantPrefix(id)}condemned/`)).toEqual([]);
    const all = notes(tenant);
    expect(all.length).toBe(10);
    host.abandon();
    const next = world.host();
    await world.takeOver(host, next);
    expect(notes(await world.at(next, id))).toEqual(all);
    expect(world.errors).toEqual([]);
  }, 20_000);

  test("announces a deletion an hour before, proves by a PUT that nobody else owns the tenant, and begins anew after a sleep", async () => {
    const { host, id, tenant } = await started();
    await change(tenant, "one");
    await clock.pass(limits.bundleKeepMs + limits.deletionBatchMs - HOUR);
    expect(await keys(`${tenantPrefix(id)}condemned/`)).toEqual([]);
    for (let i = 0; i < 20 && (await keys(`${tenantPrefix(id)}condemned/`)).length === 0; i++)
      await clock.pass(5 * 60_000);
    expect(await keys(`${tenantPrefix(id)}condemned/`)).toHaveLength(1);
    expect(await bundles(id)).toBe(1);
    // Evicted before its hour it would begin anew, for ever.
    expect(host.isClearing(id)).toBe(true);
    clock.jump(5 * HOUR);
    await clock.pass(1_000);
    expect(await bundles(id)).toBe(1);
    const before = host.metrics()["log_objects"] ?? 0;
    await clock.pass(HOUR + 1_000);
    expect(await bundles(id)).toBe(0);
    expect(host.isClearing(id)).toBe(false);
    expect((host.metrics()["log_objects"] ?? 0) - before).toBe(1);
  });

  test("tells at its release when it must be loaded for what is still due: a week later at the soonest", async () => {
    const { host, id, tenant } = await started();
    await change(tenant, "one");
    const startMs = clock.nowMs();
    await host.release(id);
    // In the release answer: control lends it for one load then.
    expect((tenant.dueMs ?? 0) - startMs).toBeGreaterThanOrEqual(limits.maintenanceLoadAfterMs);
    expect((tenant.dueMs ?? 0) - startMs).toBeLessThan(limits.maintenanceLoadAfterMs + HOUR);
    const calm = world.create(host);
    const untouched = await world.at(host, calm);
    await host.release(calm);
    expect(untouched.dueMs).toBeUndefined();
    // A job that is due earlier is what counts.
    world.give(id, world.known(id).base, host);
    const again = await world.at(host, id);
    again.wakeAt(startMs + HOUR);
    await host.release(id);
    expect(again.dueMs).toBe(startMs + HOUR);
  });

  test("deletes nothing of a tenant when its log was sealed meanwhile", async () => {
    const { host, id, tenant } = await started();
    await change(tenant, "one");
    for (let i = 0; i < 200 && (await keys(`${tenantPrefix(id)}condemned/`)).length === 0; i++)
      await clock.pass(HOUR / 2);
    const next = world.host();
    await world.takeOver(host, next);
    await clock.pass(3 * HOUR);
    expect(await bundles(id)).toBe(1);
    expect(host.fenced.aborted).toBe(true);
  });

  test("goes on with what an earlier owner announced, and touches nothing else that such a record names", async () => {
    const { host, id, tenant } = await started();
    await change(tenant, "one");
    await putNote(tenant, "two");
    const base = await host.release(id);
    const [bundle] = await keys(`${tenantPrefix(id)}flushes/data.db/`);
    const named = `${tenantPrefix(id)}flushes/data.db/${bundle}`;
    const record = condemnedKey(id, 1 as never, newNonce());
    await world.store.put(record, new TextEncoder().encode(JSON.stringify({ keys: [named] })));
    const next = world.host({ store, clock });
    world.give(id, base, next);
    const again = await world.at(next, id);
    await change(again, "three");
    for (let i = 0; i < 6; i++) await clock.pass(HOUR);
    expect(await keys(`${tenantPrefix(id)}flushes/data.db/`)).not.toContain(bundle as string);
    expect(await keys(`${tenantPrefix(id)}condemned/`)).toEqual([]);
    expect(world.errors).toEqual([]);
    const wrapped = `${tenantPrefix(id)}keys/00000001`;
    await world.store.put(wrapped, new Uint8Array(1));
    await world.store.put(record, new TextEncoder().encode(JSON.stringify({ keys: [wrapped] })));
    await change(again, "four");
    for (let i = 0; i < 6; i++) await clock.pass(HOUR);
    expect(world.errors.length).toBeGreaterThan(0);
    expect(await keys(wrapped)).toEqual([""]);
  }, 20_000);

  test("announces what becomes due within a day in one record, at a visit for all of it", async () => {
    const { id, tenant } = await started();
    for (let i = 0; i < 12; i++) {
      await change(tenant, `${i}`);
      await clock.pass(HOUR / 2);
    }
    await clock.pass(limits.bundleKeepMs - 2 * HOUR);
    store.reset();
    await clock.pass(limits.deletionBatchMs + 3 * HOUR);
    expect(await bundles(id)).toBe(0);
    expect(store.requests({ kind: "put", purpose: "condemned" })).toBe(1);
    expect(store.requests({ kind: "get", purpose: "condemned" })).toBe(0);
    expect(store.requests({ kind: "list", purpose: "tenants" })).toBe(1);
  });

  test("sweeps large objects that no entry needs after a day", async () => {
    const { host, id, tenant } = await started();
    await store.putIfAbsent(largeKey(id, host.incarnation, newNonce()), new Uint8Array(5));
    await change(tenant, "one");
    await clock.pass(20 * HOUR);
    expect(await keys(`${tenantPrefix(id)}large/`)).toHaveLength(1);
    await clock.pass(8 * HOUR);
    expect(await keys(`${tenantPrefix(id)}large/`)).toEqual([]);
  });

  test("costs nothing for tenants without changes: no request, no timer", async () => {
    const { host, id, tenant } = await started();
    const others = await Promise.all(Array.from({ length: 20 }, () => world.at(host, world.create(host))));
    for (let i = 0; i < 3; i++) await change(tenant, `${i}`);
    // Until its last change has been worked in and all that it left is old.
    await clock.pass(40 * DAY);
    store.reset();
    const { timers } = clock;
    await clock.pass(100 * DAY);
    expect(store.requests()).toBe(0);
    expect([timers, clock.timers]).toEqual([0, 0]);
    expect(host.size).toBe(others.length + 1);
    // Evicted ones: neither.
    await host.release(id);
    // What it logged last is truncated like all else.
    await clock.pass(3 * HOUR);
    store.reset();
    await clock.pass(100 * DAY);
    expect(store.requests()).toBe(0);
    expect(clock.timers).toBe(0);
  }, 30_000);
});

describe("the own log", () => {
  const slots = async (host: TestHost): Promise<number[]> =>
    (await keys(logPrefix(host.incarnation))).map((name) => Number.parseInt(name, 16));

  test("loses what is under prefixes for an hour, never its newest objects, and still ends where it should", async () => {
    const { host, id, tenant } = await started();
    for (let i = 0; i < 20; i++) await putNote(tenant, `${i}`);
    await clock.pass(limits.materialiseAfterMs + 1_000);
    await putNote(tenant, "mark");
    await clock.pass(HOUR - 60_000);
    expect((await slots(host)).length).toBe(21);
    await clock.pass(2 * 60_000);
    const left = await slots(host);
    expect(left).toEqual([17, 18, 19, 20, 21]);
    const newest = (await getBytes(
      world.store,
      `${logPrefix(host.incarnation)}${(21).toString(16).padStart(16, "0")}.wlog`,
    )) as Uint8Array;
    expect(decodeLogHeader(newest).lowWatermark as number).toBe(17);
    await putNote(tenant, "last");
    host.abandon();
    const next = world.host();
    expect((await world.takeOver(host, next)) as number).toBeGreaterThan(left.at(-1) as number);
    expect(notes(await world.at(next, id)).length).toBe(22);
  });

  test("keeps what is only there, however long it takes to get under the prefix", async () => {
    // No answer, for good, to what goes under prefixes.
    const hanging = new Proxy(store, {
      get: (target, name: keyof CountedStore) => {
        if (name !== "putIfAbsent") return (target[name] as () => unknown).bind?.(target) ?? target[name];
        return (...call: Parameters<CountedStore["putIfAbsent"]>) =>
          call[0].includes(`${id}/litestream/`) ? new Promise(() => {}) : target.putIfAbsent(...call);
      },
    });
    const host = world.host({ store: hanging, clock });
    const id = world.create(host);
    await putNote(await world.at(host, id), "needed");
    const other = await world.at(host, world.create(host));
    for (let i = 0; i < 4; i++) {
      for (let j = 0; j < 5; j++) await putNote(other, `${i}`);
      await clock.pass(HOUR);
    }
    expect((await slots(host))[0]).toBe(1);
    expect(host.metrics()["log_slots_deleted"]).toBe(0);
    host.abandon();
    const next = world.host();
    await world.takeOver(host, next);
    expect(notes(await world.at(next, id))).toEqual(["needed"]);
  });
});
