/** Every operation of several steps, with control killed before and after each of its effects and started again on its directory. */
import { describe, expect, test } from "bun:test";
import type { Incarnation, Slug, TenantId } from "../../shared/ids.ts";
import { metadataPrefix, tenantPrefix } from "../../shared/objects/layout.ts";
import { type TestControl, startTestControl, startTestWorker } from "../control-fixture.ts";
import { deleteTenant } from "../domain/delete-tenant.ts";
import { emptyWorker } from "../domain/end-worker.ts";
import { tenantBySlug } from "../domain/find-tenant.ts";
import { tenantKey } from "../domain/keys.ts";
import type { TenantRecord } from "../domain/records.ts";
import { suspendTenant } from "../domain/suspend-tenant.ts";
import { beginTransfer } from "../domain/transfer-tenant.ts";
import type { Command } from "../domain/view.ts";
import { Fuse } from "../fuse-fixture.ts";
import { RELEASED_BASE, actAsMember } from "../worker-fixture.ts";

interface Scene {
  id: TenantId;
  source: Incarnation;
  target: Incarnation;
}

interface Operation {
  begin(scene: Scene, control: TestControl): Command<unknown>;
  /** Must hold in the end, whether or not the first step was kept. */
  done(tenant: TenantRecord | undefined, scene: Scene): boolean;
}

const OPERATIONS: Record<string, Operation> = {
  move: {
    begin: ({ id, target }, { control }) => {
      const meta = control.runner.meta("test");
      return (view) => beginTransfer(view, { meta, id, to: target, why: "move" });
    },
    done: (tenant, { target }) => tenant?.owner?.incarnation === target && tenant.epoch === 2,
  },
  evict: {
    begin: ({ id }, { control }) => {
      const meta = control.runner.meta("test");
      return (view) => beginTransfer(view, { meta, id, why: "evict" });
    },
    done: (tenant) => tenant?.state === "evicted" && tenant.epoch === 1,
  },
  suspend: {
    begin: ({ id }, { control }) => {
      const meta = control.runner.meta("test");
      return (view) => suspendTenant(view, meta, id);
    },
    done: (tenant) => tenant?.suspended === true && tenant.owner === undefined,
  },
  drain: {
    begin: ({ source }, { control }) => {
      const meta = control.runner.meta("test");
      return (view) => emptyWorker(view, meta, source);
    },
    done: (tenant, { target }) => tenant?.owner?.incarnation === target && tenant.epoch === 2,
  },
  "delete and purge": {
    begin: ({ id }, { control }) => {
      const meta = control.runner.meta("test");
      return (view) => deleteTenant(view, meta, id, 0);
    },
    done: (tenant) => tenant === undefined,
  },
};

/** @returns whether the fuse blew: false when there were no more points */
async function killAt(operation: Operation, point: number): Promise<boolean> {
  const fuse = new Fuse();
  let running = await startTestControl(
    undefined,
    { fetch: fuse.fetch },
    { wrapStore: (store) => fuse.store(store), wrapObjects: (objects) => fuse.objects(objects) },
  );
  const { directory } = running;
  const port = Number(new URL(running.url).port);
  const source = await startTestWorker(running);
  const member = actAsMember(source);
  await running.cp("POST", "/tenants", { slug: "acme" });
  const { tenant: id } = await running.control.resolver.resolve({ slug: "acme" as Slug });
  await running.objects.put(`${tenantPrefix(id)}litestream/data.db/x`, new Uint8Array(1));
  const target = await startTestWorker(running);
  actAsMember(target);
  const scene = { id, source: source.incarnation, target: target.incarnation };
  const tenant = (): TenantRecord | undefined => running.control.table.get(tenantKey(id));
  try {
    const command = operation.begin(scene, running);
    const blown = fuse.arm(point);
    const begun = running.control.runner.run(command).catch(() => undefined);
    const finished = async (): Promise<void> => {
      while (!operation.done(tenant(), scene)) await Bun.sleep(5);
    };
    await Promise.race([blown, finished()]);
    if (!fuse.blown) return false;
    await running.stop();
    await begun;
    running = await startTestControl(directory, {}, { port });
    const again = untouched(tenant(), running, scene);
    if (again) await running.control.runner.run(operation.begin(scene, running));
    const deadlineMs = performance.now() + 5_000;
    while (!operation.done(tenant(), scene)) {
      if (performance.now() > deadlineMs) {
        throw new Error(`not done after ${fuse.effects.join(", ")}: ${JSON.stringify(tenant())}`);
      }
      await Bun.sleep(5);
    }
    // Nobody owns it under an epoch that was released.
    const after = tenant();
    const released = member.released.map(({ epoch }) => epoch as number);
    expect(released).toEqual([1]);
    if (after?.owner !== undefined) expect(released).not.toContain(after.epoch);
    if (after !== undefined) expect(after).toMatchObject({ base: RELEASED_BASE, tails: [] });
    else {
      const left = await running.objects.list({ prefix: tenantPrefix(id) });
      // That it was deleted is a record, which stays.
      expect(left.objects.filter(({ key }) => !key.startsWith(metadataPrefix(id)))).toEqual([]);
      expect(tenantBySlug(running.control.table, "acme" as Slug)).toBeUndefined();
      expect((await running.cp("POST", "/tenants", { slug: "acme" })).status).toBe(201);
    }
    return true;
  } finally {
    await source.kill();
    await target.kill();
    await running.remove();
  }
}

/** The first step itself did not happen: whoever asked for it asks again. */
function untouched(tenant: TenantRecord | undefined, { control }: TestControl, scene: Scene): boolean {
  const worker = [...control.table.workers()].find(({ incarnation }) => incarnation === scene.source);
  return (
    tenant?.epoch === 1 &&
    tenant.owner !== undefined &&
    tenant.transfer === undefined &&
    worker?.drain === undefined
  );
}

describe("killed between any two effects and started again", () => {
  test.each(Object.keys(OPERATIONS))(
    "%s",
    async (name) => {
      let points = 0;
      while (await killAt(OPERATIONS[name]!, points)) points++;
      // At least: before and after the intent, the release and the end.
      expect(points).toBeGreaterThanOrEqual(6);
    },
    120_000,
  );
});
