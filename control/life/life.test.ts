import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Epoch, TenantId } from "../../shared/ids.ts";
import { backupKey, backupsPrefix, tenantPrefix, metadataPrefix } from "../../shared/objects/layout.ts";
import { routeSchema } from "../../shared/protocol/internal.ts";
import { z } from "zod";
import { type TestControl, type TestWorker, startTestControl, startTestWorker } from "../control-fixture.ts";
import { deleteTenant, recoverTenant } from "../domain/delete-tenant.ts";
import { emptyWorker } from "../domain/end-worker.ts";
import { PREFIXES, tenantKey } from "../domain/keys.ts";
import type { AuditRecord, TenantRecord } from "../domain/records.ts";
import { type Member, actAsMember } from "../worker-fixture.ts";

const IDLE_MS = 1_000;
const EVICT_MS = 3_000;

let running: TestControl;
let worker: TestWorker;
let member: Member;
beforeEach(async () => {
  running = await startTestControl(undefined, { settings: { idleMs: IDLE_MS, evictMs: EVICT_MS } });
  worker = await startTestWorker(running);
  member = actAsMember(worker);
});
afterEach(async () => {
  await worker.kill();
  await running.remove();
});

const route = (slug: string) => running.gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug });

/** A tenant that its worker serves. */
async function serving(slug: string): Promise<TenantId> {
  await running.cp("POST", "/tenants", { slug });
  const { tenant, epoch } = await route(slug);
  await running.member.call("POST", `/v1/workers/${worker.incarnation}/reports`, z.object({}), {
    reports: [{ tenant, epoch, kind: "serving" }],
  });
  return tenant;
}

const record = (id: TenantId): TenantRecord | undefined => running.control.table.get(tenantKey(id));

async function becomes(id: TenantId, state: string): Promise<void> {
  const deadlineMs = performance.now() + 5_000;
  while (record(id)?.state !== state) {
    if (performance.now() > deadlineMs) throw new Error(`${id} is ${record(id)?.state}, not ${state}`);
    await Bun.sleep(10);
  }
}

function unusedFor(id: TenantId, idleMs: number): void {
  member.listed = [{ tenant: id, epoch: record(id)?.epoch ?? (0 as Epoch), idleMs }];
}

describe("a tenant that nobody uses", () => {
  test("active, idle, active again; then evicted by a release; the next request assigns it anew", async () => {
    const id = await serving("acme");
    unusedFor(id, IDLE_MS - 1);
    await Bun.sleep(600);
    expect(record(id)?.state).toBe("active");
    unusedFor(id, IDLE_MS);
    await becomes(id, "idle");
    expect(await route("acme")).toMatchObject({ state: "idle", worker: { url: worker.url } });
    unusedFor(id, 0);
    await becomes(id, "active");
    expect(member.released).toEqual([]);
    unusedFor(id, EVICT_MS);
    await becomes(id, "evicted");
    expect(member.released).toEqual([{ tenant: id, epoch: 1 as Epoch }]);
    expect((await route("acme")).epoch).toBe(2);
    const { kvs } = await running.store.range(PREFIXES.audit);
    const actions = kvs.map(({ value }) => value as AuditRecord).filter(({ subject }) => subject === id);
    expect(actions.map(({ action }) => action)).toEqual([
      "tenant.create",
      "tenant.assign",
      "tenant.serving",
      "tenant.idle",
      "tenant.active",
      "tenant.idle",
      "tenant.transfer",
      "tenant.evict",
      "tenant.assign",
    ]);
  });

  test("what a worker says of another epoch is nobody's idleness", async () => {
    const id = await serving("acme");
    member.listed = [{ tenant: id, epoch: 9 as Epoch, idleMs: EVICT_MS }];
    await Bun.sleep(600);
    expect(record(id)).toMatchObject({ state: "active", epoch: 1 });
  });

  test("leaves a draining worker to nobody, while the others move", async () => {
    const [busy, idle] = [await serving("busy"), await serving("idle")];
    unusedFor(idle, IDLE_MS);
    await becomes(idle, "idle");
    const target = await startTestWorker(running);
    actAsMember(target);
    const { runner } = running.control;
    const meta = runner.meta("test");
    await runner.run((view) => emptyWorker(view, meta, worker.incarnation));
    await becomes(idle, "evicted");
    await becomes(busy, "deploying");
    expect(record(busy)?.owner?.incarnation).toBe(target.incarnation);
    await target.kill();
  });
});

describe("a deleted tenant", () => {
  const remove = async (id: TenantId, retainMs: number): Promise<void> => {
    const { runner } = running.control;
    const meta = runner.meta("test");
    await runner.run((view) => deleteTenant(view, meta, id, retainMs));
  };

  test("is refused at once, keeps its slug and objects, and comes back whole", async () => {
    const id = await serving("acme");
    await running.objects.put(`${tenantPrefix(id)}x`, new Uint8Array(1));
    await remove(id, 60_000);
    await expect(route("acme")).rejects.toMatchObject({ code: "tenant_deleted" });
    expect((await running.cp("POST", "/tenants", { slug: "acme" })).status).toBe(409);
    while (record(id)?.owner !== undefined) await Bun.sleep(5);
    const { runner } = running.control;
    const meta = runner.meta("test");
    await runner.run((view) => recoverTenant(view, meta, id));
    expect(record(id)).toMatchObject({ state: "evicted" });
    expect(record(id)?.deletion).toBeUndefined();
    expect((await route("acme")).epoch).toBe(2);
    expect(await running.objects.head(`${tenantPrefix(id)}x`)).toBeDefined();
  });

  test("goes with all its objects when the retention is over, and nobody else's; its slug is free", async () => {
    const id = await serving("acme");
    const keys = Array.from({ length: 1_100 }, (_, i) => `${tenantPrefix(id)}storage/c/r/${i}`);
    for (const key of keys) await running.objects.put(key, new Uint8Array(1));
    await running.objects.put(backupKey(id, "old.zip"), new Uint8Array(1));
    const other = `${tenantPrefix(`${id.slice(0, 14)}0` as TenantId)}x`;
    await running.objects.put(other, new Uint8Array(1));
    await remove(id, 300);
    await Bun.sleep(200);
    expect(record(id)).toBeDefined();
    while (record(id) !== undefined) await Bun.sleep(10);
    const left = (await running.objects.list({ prefix: tenantPrefix(id) })).objects.map(({ key }) => key);
    // What says that it was purged is all that may be there.
    expect(left.filter((key) => !key.startsWith(metadataPrefix(id)))).toEqual([]);
    expect((await running.objects.list({ prefix: backupsPrefix(id) })).objects).toEqual([]);
    expect(await running.objects.head(other)).toBeDefined();
    expect((await running.cp("POST", "/tenants", { slug: "acme" })).status).toBe(201);
    const { runner } = running.control;
    const meta = runner.meta("test");
    await expect(runner.run((view) => recoverTenant(view, meta, id))).rejects.toMatchObject({
      code: "tenant_not_found",
    });
  });

  test("cannot be recovered once its objects may be gone", async () => {
    const id = await serving("acme");
    const { objects } = running;
    const blocked = Promise.withResolvers<void>();
    const list = objects.list.bind(objects);
    objects.list = async (options) => {
      if (options.prefix === tenantPrefix(id)) await blocked.promise;
      return list(options);
    };
    await remove(id, 0);
    while (record(id)?.deletion?.purging !== true) await Bun.sleep(5);
    const { runner } = running.control;
    const meta = runner.meta("test");
    await expect(runner.run((view) => recoverTenant(view, meta, id))).rejects.toMatchObject({
      code: "conflict",
    });
    blocked.resolve();
    while (record(id) !== undefined) await Bun.sleep(10);
  });
});
