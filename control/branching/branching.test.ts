import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { pinKey, tenantPrefix } from "../../shared/objects/layout.ts";
import { type TestControl, type TestWorker, startTestControl, startTestWorker } from "../control-fixture.ts";
import { systemClock } from "../clock.ts";
import { tenantKey } from "../domain/keys.ts";
import type { TenantRecord } from "../domain/records.ts";

let running: TestControl;
let worker: TestWorker;
let parent: TenantId;
/** Wall clock beside the real one. */
let aheadMs: number;
/** What the worker double was asked, and how it answers. */
let asked: { path: string; body: Record<string, unknown> }[];
let refuse: ((path: string) => Response | undefined) | undefined;

beforeEach(async () => {
  aheadMs = 0;
  asked = [];
  refuse = undefined;
  running = await startTestControl(undefined, {
    clock: { ...systemClock, nowMs: () => Date.now() + aheadMs },
  });
  worker = await startTestWorker(running);
  worker.answer = async (request) => {
    const path = new URL(request.url).pathname;
    const body = (await request.json().catch(() => ({}))) as Record<string, unknown>;
    asked.push({ path, body });
    const refused = refuse?.(path);
    if (refused !== undefined) return refused;
    if (path === "/_manybase/detach") return Response.json({ uploads: 3 });
    if (path !== "/_manybase/branches") return Response.json({ base: {} });
    await running.objects.put(pinKey(parent, body["branch"] as TenantId), new Uint8Array(1));
    const point = { txid: 5, at: "2026-01-01T00:00:00.000Z" };
    return Response.json({
      branch: body["branch"],
      at: point.at,
      point,
      exact: true,
      databases: { "data.db": { txid: 5 } },
    });
  };
  parent = (await running.cp("POST", "/tenants", { slug: "acme" })).body["id"] as TenantId;
});
afterEach(async () => {
  await worker.kill();
  await running.remove();
});

const record = (id: TenantId): TenantRecord | undefined => running.control.table.get(tenantKey(id));
const pins = async (): Promise<number> =>
  (await running.objects.list({ prefix: `${tenantPrefix(parent)}pins/` })).objects.length;

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await Bun.sleep(5);
}

async function branch(slug = "next"): Promise<TenantId> {
  const { status, body } = await running.cp("POST", "/tenants/acme/branches", { slug, at: 5 });
  expect(status).toBe(201);
  return (body["tenant"] as { id: TenantId }).id;
}

describe("branching", () => {
  test("asks the parent's owner to pin under the branch's id, then makes it", async () => {
    const id = await branch();
    expect(asked).toEqual([{ path: "/_manybase/branches", body: { branch: id, at: 5 } }]);
    expect(record(id)?.origin?.tenant).toBe(parent);
    expect(await pins()).toBe(1);
    expect((await running.cp("GET", "/tenants/next")).body).toMatchObject({ origin: parent });
  });

  test("that broke off after the pin leaves a pin that goes after an hour; what the worker says is told", async () => {
    refuse = (path) => {
      if (path !== "/_manybase/branches") return undefined;
      void running.objects.put(pinKey(parent, asked[0]?.body["branch"] as TenantId), new Uint8Array(1));
      const error = { code: "point_not_found", message: "Cannot restore TXID 5: it is not kept" };
      return Response.json({ error }, { status: 404 });
    };
    const refused = await running.cp("POST", "/tenants/acme/branches", { slug: "next", at: 5 });
    expect(refused.status).toBe(404);
    expect(refused.body).toMatchObject({ error: { code: "point_not_found" } });
    await until(async () => (await pins()) === 1);
    expect([...running.control.table.pins()]).toHaveLength(1);
    aheadMs = limits.pinForgottenMs + 60_000;
    // Anything new about pins wakes the sweeper.
    refuse = undefined;
    const id = await branch("other");
    await until(async () => (await pins()) === 1 && [...running.control.table.pins()].length === 0);
    expect(await running.objects.head(pinKey(parent, id))).toBeDefined();
  });

  test("the same Idempotency-Key gives the same branch", async () => {
    const ask = (slug: string) =>
      running.cp("POST", "/tenants/acme/branches", { slug }, { "idempotency-key": "k" });
    const first = await ask("next");
    const second = await ask("next");
    expect((second.body["tenant"] as { id: string }).id).toBe((first.body["tenant"] as { id: string }).id);
    expect(asked).toHaveLength(1);
    expect((await ask("other")).status).toBe(422);
  });

  test("detaching copies, drops the origin and then the pin; deleting a branch removes its pin", async () => {
    const [one, two] = [await branch("one"), await branch("two")];
    expect(await pins()).toBe(2);
    expect((await running.cp("POST", "/tenants/one/detach")).body["origin"]).toBeUndefined();
    expect(record(one)?.origin).toBeUndefined();
    await until(async () => (await pins()) === 1);
    await running.cp("DELETE", "/tenants/two?retainSeconds=0");
    await until(() => record(two) === undefined);
    expect(await pins()).toBe(0);
  });

  test("purging a parent waits for its branches, and detaches them", async () => {
    const id = await branch();
    await running.objects.put(`${tenantPrefix(parent)}x`, new Uint8Array(1));
    let holding = true;
    refuse = (path) =>
      path === "/_manybase/detach" && holding
        ? Response.json({ error: { code: "store_unavailable", message: "no" } }, { status: 503 })
        : undefined;
    await running.cp("POST", "/tenants/acme/suspend");
    await running.cp("DELETE", "/tenants/acme?retainSeconds=0");
    await until(() => asked.some(({ path }) => path === "/_manybase/detach"));
    await Bun.sleep(50);
    expect(record(parent)?.deletion?.purging).toBeUndefined();
    expect(await running.objects.head(`${tenantPrefix(parent)}x`)).toBeDefined();
    holding = false;
    // The purge asks again only after a while; an operator may.
    await running.cp("POST", "/tenants/next/detach");
    await until(() => record(parent) === undefined);
    expect(record(id)?.origin).toBeUndefined();
    expect(await running.objects.head(`${tenantPrefix(parent)}x`)).toBeUndefined();
  });

  test("is control's alone: nobody gets a ticket to pin", async () => {
    const { status } = await running.cp("POST", "/tenants/acme/tickets", { action: "branch" });
    expect(status).toBe(400);
    expect((await running.cp("POST", "/tenants/acme/tickets", { action: "restore" })).status).toBe(200);
  });

  test("of a branch detaches it first", async () => {
    await branch();
    const { status } = await running.cp("POST", "/tenants/next/branches", { slug: "third" });
    expect(status).toBe(201);
    expect(asked.map(({ path }) => path)).toEqual([
      "/_manybase/branches",
      "/_manybase/detach",
      "/_manybase/branches",
    ]);
  });
});
