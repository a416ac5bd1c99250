/** Archiving and thawing on a file store, and on one whose cold class takes its time. */
import { afterEach, describe, expect, test } from "bun:test";
import type { TenantId } from "../../shared/ids.ts";
import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectHead, ObjectStore } from "../../shared/objects/contract.ts";
import { backupKey, dataKeyKey, tenantPrefix } from "../../shared/objects/layout.ts";
import { type Route, routeSchema } from "../../shared/protocol/internal.ts";
import { systemClock } from "../clock.ts";
import { type TestControl, type TestWorker, startTestControl, startTestWorker } from "../control-fixture.ts";
import { tenantKey } from "../domain/keys.ts";
import type { TenantRecord } from "../domain/records.ts";
import { type Member, actAsMember } from "../worker-fixture.ts";

let running: TestControl;
let worker: TestWorker;
let member: Member;
/** Waits between two looks at a tenant pass at once. */
const hasty = { ...systemClock, monotonicMs: () => performance.now() * 1_000 };

async function start(
  wrapObjects?: (objects: ObjectStore) => ObjectStore,
  thawOnRequest = false,
): Promise<TenantId> {
  running = await startTestControl(
    undefined,
    { clock: hasty, settings: { thawOnRequest } },
    wrapObjects === undefined ? {} : { wrapObjects },
  );
  worker = await startTestWorker(running);
  member = actAsMember(worker);
  await running.cp("POST", "/tenants", { slug: "acme" });
  const { tenant } = await resolve();
  for (const key of objectsOf(tenant)) await running.objects.put(key, new TextEncoder().encode(key));
  return tenant;
}
afterEach(async () => {
  await worker.kill();
  await running.remove();
});

const objectsOf = (id: TenantId): string[] => [
  `${tenantPrefix(id)}litestream/data.db/0009/1-2.ltx`,
  `${tenantPrefix(id)}storage/c/r/photo.png`,
  `${tenantPrefix(id)}flushes/data.db/1-2.bundle`,
  backupKey(id, "one.zip"),
  dataKeyKey(id, 1),
];

const resolve = (): Promise<Route> =>
  running.gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug: "acme" });

const record = (id: TenantId): TenantRecord | undefined => running.control.table.get(tenantKey(id));

async function until(id: TenantId, holds: (tenant: TenantRecord) => boolean): Promise<void> {
  const deadlineMs = performance.now() + 8_000;
  for (;;) {
    const tenant = record(id);
    if (tenant !== undefined && holds(tenant)) return;
    if (performance.now() > deadlineMs) throw new Error(`not so: ${JSON.stringify(tenant)}`);
    await Bun.sleep(10);
  }
}

async function classes(id: TenantId): Promise<string[]> {
  const heads = await Promise.all(objectsOf(id).map((key) => running.objects.head(key)));
  return heads.map((head) => head?.storageClass ?? "gone");
}

/** Newest first. */
async function audited(id: TenantId, action: string): Promise<{ action: string; who: string }[]> {
  const { body } = await running.cp("GET", `/audit?subject=${id}`);
  return (body["entries"] as { action: string; who: string }[]).filter((entry) => entry.action === action);
}

const frozen = (id: TenantId) => until(id, ({ archive }) => archive?.step === "frozen");

describe("an archived tenant", () => {
  test("leaves its worker, its objects get the class, its route names nobody; thawed it serves again", async () => {
    const id = await start();
    const { status, body } = await running.cp("POST", "/tenants/acme/archive", { storageClass: "GLACIER" });
    expect([status, body["state"]]).toEqual([200, "archived"]);
    await frozen(id);
    expect(member.released.map(({ tenant }) => tenant)).toEqual([id]);
    expect(await classes(id)).toEqual(["GLACIER", "GLACIER", "GLACIER", "GLACIER", "STANDARD"]);
    const cold = await resolve();
    expect(cold).toMatchObject({ state: "archived", epoch: 1 });
    expect([cold.worker, cold.thawing]).toEqual([undefined, undefined]);
    expect((await running.cp("GET", "/tenants/acme")).body["archive"]).toMatchObject({
      storageClass: "GLACIER",
      step: "frozen",
    });

    expect((await running.cp("POST", "/tenants/acme/thaw")).status).toBe(200);
    await until(id, ({ state }) => state === "evicted");
    expect(await classes(id)).toEqual(Array.from({ length: 5 }, () => "STANDARD"));
    for (const key of objectsOf(id)) {
      const found = await running.objects.get(key);
      expect(await new Response(found?.stream as ReadableStream<Uint8Array<ArrayBuffer>>).text()).toBe(key);
    }
    expect(record(id)?.archive).toBeUndefined();
    expect(await resolve()).toMatchObject({ epoch: 2, worker: { incarnation: worker.incarnation } });
  });

  test("waits for a store that takes its time, and says so in its route", async () => {
    const store = slowColdStore();
    const id = await start(store.wrap);
    await running.cp("POST", "/tenants/acme/archive", { storageClass: "DEEP_ARCHIVE" });
    await frozen(id);
    await running.cp("POST", "/tenants/acme/thaw");
    await Bun.sleep(100);
    expect(await resolve()).toMatchObject({ state: "archived", thawing: true });
    expect(store.asked.toSorted()).toEqual(objectsOf(id).slice(0, 4).toSorted());
    expect((await running.cp("POST", "/tenants/acme/archive")).status).toBe(409);
    // While it takes its time the store is only looked at.
    await Bun.sleep(limits.archiveLookMs + 300);
    expect(store.refused).toEqual([]);
    store.ready();
    await until(id, ({ state }) => state === "evicted");
    expect(new Set(store.asked).size).toBe(4);
  }, 15_000);

  test("another leader goes on where it was", async () => {
    const store = slowColdStore();
    const id = await start(store.wrap);
    await running.cp("POST", "/tenants/acme/archive", { storageClass: "DEEP_ARCHIVE" });
    await frozen(id);
    await running.cp("POST", "/tenants/acme/thaw");
    await Bun.sleep(50);
    const { directory } = running;
    await running.stop();
    store.ready();
    running = await startTestControl(directory, { clock: hasty }, { wrapObjects: store.wrap });
    await until(id, ({ state }) => state === "evicted");
    expect(await classes(id)).toEqual(Array.from({ length: 5 }, () => "STANDARD"));
  }, 15_000);

  test("is thawed by its first request, once, and that is in the audit log", async () => {
    const store = slowColdStore();
    const id = await start(store.wrap, true);
    await running.cp("POST", "/tenants/acme/archive", { storageClass: "DEEP_ARCHIVE" });
    await frozen(id);
    // Looking a name up is no request, and an operator's look is none either.
    await running.gateway.call("POST", "/v1/routes/find", routeSchema, { slug: "acme" });
    await running.cp("GET", "/tenants/acme");
    expect(record(id)?.archive?.step).toBe("frozen");
    const answers = await Promise.all(Array.from({ length: 20 }, resolve));
    expect(answers.map(({ state, thawing }) => [state, thawing])).toEqual(
      Array.from({ length: 20 }, () => ["archived", true]),
    );
    await resolve();
    const entries = await audited(id, "tenant.thaw");
    expect(entries.map(({ who }) => who)).toEqual(["gateway"]);
    store.ready();
    await until(id, ({ state }) => state === "evicted");
    expect(await resolve()).toMatchObject({ epoch: 2, worker: { incarnation: worker.incarnation } });
  }, 15_000);

  test("is not thawed by requests while nobody may use it, nor when operators want to do that themselves", async () => {
    const id = await start(undefined, true);
    await running.cp("POST", "/tenants/acme/archive", { storageClass: "GLACIER" });
    await running.cp("POST", "/tenants/acme/suspend");
    await frozen(id);
    expect((await resolve()).thawing).toBeUndefined();
    const { directory } = running;
    await running.cp("POST", "/tenants/acme/resume");
    await running.stop();
    running = await startTestControl(directory, { settings: { thawOnRequest: false } });
    expect((await resolve()).thawing).toBeUndefined();
    expect(await audited(id, "tenant.thaw")).toEqual([]);
  });

  test("is not archived twice, not thawed when it is not archived, and comes back archived from deletion", async () => {
    const id = await start();
    expect((await running.cp("POST", "/tenants/acme/thaw")).status).toBe(409);
    await running.cp("POST", "/tenants/acme/archive", { storageClass: "GLACIER_IR" });
    const again = await running.cp("POST", "/tenants/acme/archive", { storageClass: "GLACIER" });
    expect((again.body["archive"] as { storageClass: string }).storageClass).toBe("GLACIER_IR");
    await frozen(id);
    await running.cp("DELETE", "/tenants/acme");
    expect((await running.cp("POST", "/tenants/acme/archive")).status).toBe(409);
    expect((await running.cp("POST", "/tenants/acme/thaw")).status).toBe(409);
    expect((await running.cp("POST", "/tenants/acme/recover")).body).toMatchObject({ state: "archived" });
    expect((await running.cp("POST", "/tenants/acme/archive", { storageClass: "HOT" })).status).toBe(400);
  });

  test("objects move only when its owner has released it", async () => {
    const id = await start();
    const released = Promise.withResolvers<undefined>();
    member.refuse = () => released.promise as Promise<never>;
    await running.cp("POST", "/tenants/acme/archive", { storageClass: "GLACIER" });
    await Bun.sleep(100);
    expect(await classes(id)).toEqual(Array.from({ length: 5 }, () => "STANDARD"));
    released.resolve(undefined);
    await frozen(id);
  });
});

/** What is in a far class must be asked for, and can be copied only when it is there. */
function slowColdStore(): {
  wrap: (objects: ObjectStore) => ObjectStore;
  asked: string[];
  refused: string[];
  ready: () => void;
} {
  const asked: string[] = [];
  const refused: string[] = [];
  let there = false;
  const thawOf = (head: ObjectHead): ObjectHead["thaw"] => {
    if (head.storageClass !== "DEEP_ARCHIVE") return "none";
    if (!asked.includes(head.key)) return "needed";
    return there ? "done" : "running";
  };
  return {
    asked,
    refused,
    ready: () => (there = true),
    wrap(objects) {
      const head = objects.head.bind(objects);
      const copy = objects.copy.bind(objects);
      objects.head = async (key, options) => {
        const found = await head(key, options);
        return found === undefined ? undefined : { ...found, thaw: thawOf(found) };
      };
      objects.thaw = (key, days) => {
        expect(days).toBe(limits.thawDays);
        asked.push(key);
        return Promise.resolve();
      };
      objects.copy = async (from, to, options) => {
        const found = await objects.head(from);
        if (found?.thaw === "needed" || found?.thaw === "running") {
          refused.push(from);
          throw new UserError("conflict", "Cannot: cold");
        }
        await copy(from, to, options);
      };
      return objects;
    },
  };
}
