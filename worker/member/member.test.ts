/** What control asks of a worker, over real tenants. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Epoch, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { loadedTenantsSchema, releaseResponseSchema } from "../../shared/protocol/internal.ts";
import { parseKeyring } from "../../shared/protocol/keys.ts";
import { signCall } from "../../shared/protocol/signature.ts";
import { type TestHost, TestWorld, codeOf, notes, putNote } from "../tenant/test-world.ts";
import { createMemberApp } from "./app.ts";
import { Departures } from "./departures.ts";
import { Visitors } from "./visitors.ts";

const epoch = (n: number): Epoch => n as Epoch;
const keys = parseKeyring(`member-1:${"A".repeat(43)}`, "test key");
const others = parseKeyring(`member-1:${"B".repeat(43)}`, "test key");

let world: TestWorld;
let host: TestHost;
let visitors: Visitors;
let departures: Departures;
let id: TenantId;
beforeEach(async () => {
  world = await TestWorld.open();
  host = world.host();
  visitors = new Visitors(host);
  departures = new Departures(host, visitors);
  id = world.create(host);
});
afterEach(() => world.close());

describe("Visitors", () => {
  test("a tenant leaves when those inside have ended; who comes meanwhile is told that it is not here", async () => {
    const visit = await visitors.enter(id, epoch(1));
    const order: string[] = [];
    const left = departures.release(id, epoch(1)).then(({ base }) => {
      order.push("left");
      return base;
    });
    await Bun.sleep(20);
    await putNote(visit.tenant, "written on the way out");
    order.push("ended");
    visit.end();
    await Promise.resolve();
    await Promise.resolve();
    const late = codeOf(() => visitors.enter(id, epoch(1)));
    expect((await left)["data.db"]?.txid as number).toBe(1);
    expect(order).toEqual(["ended", "left"]);
    expect(await late).toBe("not_owner");
    expect(visitors.list()).toEqual([]);
  });

  test("others come in while it waits for a long request, and are waited for as well", async () => {
    const upload = await visitors.enter(id, epoch(1));
    let left = false;
    const leaving = departures.release(id, epoch(1)).then(() => (left = true));
    await Bun.sleep(20);
    const other = await visitors.enter(id, epoch(1));
    upload.end();
    await Bun.sleep(20);
    expect(left).toBe(false);
    const late = codeOf(() => visitors.enter(id, epoch(1)));
    await putNote(other.tenant, "came late");
    other.end();
    await leaving;
    expect(await late).toBe("not_owner");
  });

  test("who stays inside for too long does not keep it here", async () => {
    await visitors.enter(id, epoch(1));
    const startedMs = performance.now();
    await departures.release(id, epoch(1));
    const waitedMs = performance.now() - startedMs;
    expect(waitedMs).toBeGreaterThanOrEqual(limits.releasePatienceMs + limits.releaseDrainMs - 50);
    expect(host.size).toBe(0);
  }, 20_000);

  test("tells how long a tenant was not used, and what it did", async () => {
    let nowMs = 0;
    visitors = new Visitors(host, () => nowMs);
    const first = await visitors.enter(id, epoch(1));
    nowMs = 100;
    expect(visitors.list()).toMatchObject([{ tenant: id, epoch: 1, idleMs: 0, requests: 1, busyMs: 100 }]);
    const second = await visitors.enter(id, epoch(1));
    first.end();
    first.end();
    nowMs = 150;
    expect(visitors.list()).toMatchObject([{ idleMs: 0, requests: 2, busyMs: 150 }]);
    second.end();
    nowMs = 1_000;
    expect(visitors.list()).toMatchObject([{ idleMs: 850, busyMs: 150, loadedMs: 1_000 }]);
  });
});

describe("Departures", () => {
  test("the same question has the same answer, asked at once or later", async () => {
    const visit = await visitors.enter(id, epoch(1));
    await putNote(visit.tenant, "kept");
    visit.end();
    const [a, b] = await Promise.all([departures.release(id, epoch(1)), departures.release(id, epoch(1))]);
    expect(await departures.release(id, epoch(1))).toEqual(a);
    expect(b).toEqual(a);
    expect(host.metrics()["tenant_releases"]).toBe(1);
    const next = world.host();
    world.give(id, a.base, next);
    expect(notes(await world.at(next, id))).toEqual(["kept"]);
  });

  test("a tenant that is not loaded is loaded first: what its log holds goes under the prefix", async () => {
    expect(await departures.release(id, epoch(1))).toEqual({ base: {}, dueMs: null });
    expect(host.metrics()["tenant_loads"]).toBe(1);
  });

  test("nothing happens to another epoch's tenant", async () => {
    world.known(id).epoch = 2;
    const visit = await visitors.enter(id, epoch(2));
    expect(await codeOf(() => departures.release(id, epoch(1)))).toBe("not_owner");
    await putNote(visit.tenant, "still here");
    visit.end();
    // Given back after a release that may have happened: the new epoch serves, and its own release works.
    await departures.release(id, epoch(2));
    expect(await codeOf(() => departures.release(id, epoch(1)))).toBe("not_owner");
    expect(await codeOf(() => departures.release(id, epoch(3)))).toBe("not_owner");
  });
});

describe("createMemberApp", () => {
  const call = async (
    method: string,
    path: string,
    body?: unknown,
    { ring = keys, live = true } = {},
  ): Promise<unknown> => {
    const app = createMemberApp({
      keys,
      session: () => (live ? { incarnation: host.incarnation, visitors, departures, host } : undefined),
    });
    const bytes = body === undefined ? new Uint8Array() : new TextEncoder().encode(JSON.stringify(body));
    const request = new Request(`http://worker${path}`, {
      method,
      headers: { "x-manybase-signature": signCall(ring, method, path, bytes, Date.now()) },
      ...(body === undefined ? {} : { body: bytes }),
    });
    return (await app(request, path)).json();
  };

  test("lists, loads and releases", async () => {
    const own = { incarnation: host.incarnation, epoch: 1 };
    expect(await call("GET", "/v1/tenants")).toEqual({ tenants: [] });
    expect(await call("POST", `/v1/tenants/${id}/load`, own)).toEqual({});
    const { tenants } = loadedTenantsSchema.parse(await call("GET", "/v1/tenants"));
    expect(tenants).toMatchObject([{ tenant: id, epoch: 1 }]);
    releaseResponseSchema.parse(await call("POST", `/v1/tenants/${id}/release`, own));
    expect(host.size).toBe(0);
  });

  test("refuses what is not signed by a member, not meant for it, or nonsense", async () => {
    const own = { incarnation: host.incarnation, epoch: 1 };
    const cases: [string, () => Promise<unknown>][] = [
      ["unauthorized", () => call("GET", "/v1/tenants", undefined, { ring: others })],
      ["worker_starting", () => call("GET", "/v1/tenants", undefined, { live: false })],
      ["not_owner", () => call("POST", `/v1/tenants/${id}/release`, { ...own, incarnation: 99 })],
      ["not_owner", () => call("POST", `/v1/tenants/${id}/load`, { ...own, epoch: 2 })],
      ["invalid_body", () => call("POST", `/v1/tenants/${id}/release`, { epoch: 1 })],
      ["invalid_tenant_id", () => call("POST", "/v1/tenants/UP/release", own)],
      ["not_found", () => call("POST", `/v1/tenants/${id}/explode`, own)],
      ["not_found", () => call("GET", `/v1/tenants/${id}/release`)],
    ];
    for (const [code, run] of cases) expect(await codeOf(run)).toBe(code);
    expect(host.metrics()["tenant_releases"]).toBe(0);
  });
});
