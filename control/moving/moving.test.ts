import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { SystemError, errorResponse } from "../../shared/errors.ts";
import type { Epoch, Incarnation, LogSeq, Slug, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { type Route, routeSchema, routeSnapshotSchema } from "../../shared/protocol/internal.ts";
import { type TestControl, type TestWorker, startTestControl, startTestWorker } from "../control-fixture.ts";
import { deleteTenant } from "../domain/delete-tenant.ts";
import { emptyWorker, exitWorker } from "../domain/end-worker.ts";
import { tenantBySlug } from "../domain/find-tenant.ts";
import { workerKey } from "../domain/keys.ts";
import type { TenantRecord } from "../domain/records.ts";
import { suspendTenant } from "../domain/suspend-tenant.ts";
import { beginTransfer } from "../domain/transfer-tenant.ts";
import { FLUSHED_BASE, type Member, RELEASED_BASE, actAsMember } from "../worker-fixture.ts";
import { transferEnded } from "./mover.ts";

let running: TestControl;
let workers: { worker: TestWorker; member: Member }[];
beforeEach(async () => {
  running = await startTestControl();
  workers = [];
});
afterEach(async () => {
  await Promise.all(workers.map(({ worker }) => worker.kill()));
  await running.remove();
});

async function start(): Promise<{ worker: TestWorker; member: Member }> {
  const worker = await startTestWorker(running);
  const one = { worker, member: actAsMember(worker) };
  workers.push(one);
  return one;
}

const resolve = (slug: string, failed?: { incarnation: Incarnation; epoch: number }): Promise<Route> =>
  running.gateway.call("POST", "/v1/routes/resolve", routeSchema, {
    slug,
    ...(failed === undefined ? {} : { failed: { ...failed, reason: "not_owner" } }),
  });

async function tenantOn(slug: string): Promise<TenantId> {
  await running.cp("POST", "/tenants", { slug });
  return (await resolve(slug)).tenant;
}

function record(slug: string): TenantRecord {
  const tenant = tenantBySlug(running.control.table, slug as Slug);
  if (tenant === undefined) throw new Error(`no tenant ${slug}`);
  return tenant;
}

/** Begins a transfer and waits until it is over. */
async function move(id: TenantId, to?: Incarnation): Promise<TenantRecord | undefined> {
  const { runner } = running.control;
  const meta = runner.meta("test");
  const why = to === undefined ? "evict" : "move";
  const begun = await runner.run((view) =>
    beginTransfer(view, { meta, id, why, ...(to === undefined ? {} : { to }) }),
  );
  if (begun.transfer === undefined) return begun;
  return transferEnded(running.control, id, begun.transfer, AbortSignal.timeout(5_000));
}

describe("a planned move", () => {
  test("intent, release, then the target owns it under the next epoch at exactly the released base", async () => {
    const source = await start();
    const id = await tenantOn("acme");
    const target = await start();
    const moved = await move(id, target.worker.incarnation);
    expect(moved).toMatchObject({
      owner: { incarnation: target.worker.incarnation },
      epoch: 2,
      state: "deploying",
      base: RELEASED_BASE,
      tails: [],
      virgin: false,
    });
    expect(moved?.transfer).toBeUndefined();
    expect(source.member.released).toEqual([{ tenant: id, epoch: 1 as Epoch }]);
    await Bun.sleep(20);
    expect(target.member.loaded).toEqual([{ tenant: id, epoch: 2 as Epoch }]);
  });

  test("the target fetches what the source has flushed before the source lets go", async () => {
    const source = await start();
    const id = await tenantOn("acme");
    const target = await start();
    source.member.refuse = () => {
      expect(target.member.prewarmed.length).toBe(1);
      return undefined;
    };
    await move(id, target.worker.incarnation);
    expect(target.member.prewarmed).toMatchObject([
      { tenant: id, incarnation: target.worker.incarnation, epoch: 1, base: FLUSHED_BASE, tails: [] },
    ]);
    expect(source.member.released.length).toBe(1);
  });

  test("a target that cannot fetch it gets it all the same; one that dies meanwhile does not hold the source up", async () => {
    await start();
    const id = await tenantOn("acme");
    const target = await start();
    const answer = target.worker.answer;
    target.worker.answer = (request) =>
      request.url.endsWith("/prewarm") ? new Response(null, { status: 500 }) : answer(request);
    expect(await move(id, target.worker.incarnation)).toMatchObject({
      owner: { incarnation: target.worker.incarnation },
    });
    const third = await start();
    third.worker.answer = () => new Promise<never>(() => undefined);
    const moving = move(id, third.worker.incarnation);
    third.worker.isolate();
    expect(await moving).toMatchObject({ owner: { incarnation: target.worker.incarnation }, epoch: 3 });
  });

  test("who was sent away by the source waits for the new route, without asking again", async () => {
    const source = await start();
    const id = await tenantOn("acme");
    const target = await start();
    const released = Promise.withResolvers<undefined>();
    source.member.refuse = () => released.promise as Promise<never>;
    const moving = move(id, target.worker.incarnation);
    await Bun.sleep(30);
    expect((await resolve("acme")).worker?.incarnation).toBe(source.worker.incarnation);
    const waiting = resolve("acme", { incarnation: source.worker.incarnation, epoch: 1 });
    await Bun.sleep(30);
    released.resolve(undefined);
    expect(await waiting).toMatchObject({ epoch: 2, worker: { incarnation: target.worker.incarnation } });
    await moving;
  });

  test("who was sent away by an owner before that does not wait for it", async () => {
    const first = await start();
    const id = await tenantOn("acme");
    const second = await start();
    await move(id, second.worker.incarnation);
    const released = Promise.withResolvers<undefined>();
    second.member.refuse = () => released.promise as Promise<never>;
    const moving = move(id, first.worker.incarnation);
    while (record("acme").transfer === undefined) await Bun.sleep(5);
    const route = await resolve("acme", { incarnation: first.worker.incarnation, epoch: 1 });
    expect(route).toMatchObject({ epoch: 2, worker: { incarnation: second.worker.incarnation } });
    expect(record("acme").transfer).toBeDefined();
    released.resolve(undefined);
    await moving;
  });

  test("a source that does not release keeps the tenant, under the next epoch", async () => {
    const source = await start();
    const id = await tenantOn("acme");
    const target = await start();
    source.member.refuse = () => errorResponse(new SystemError("tenant_stopped", "Cannot: broken"));
    expect(await move(id, target.worker.incarnation)).toMatchObject({
      owner: { incarnation: source.worker.incarnation },
      epoch: 2,
      base: {},
      virgin: true,
    });
    source.member.refuse = undefined;
    expect(await move(id, target.worker.incarnation)).toMatchObject({ epoch: 3 });
  });

  test("a target that takes no tenants any more: back to the source under the next epoch, with the base", async () => {
    const source = await start();
    const id = await tenantOn("acme");
    const target = await start();
    source.member.refuse = async () => {
      await target.worker.beat(true);
      return undefined as never;
    };
    expect(await move(id, target.worker.incarnation)).toMatchObject({
      owner: { incarnation: source.worker.incarnation },
      epoch: 2,
      base: RELEASED_BASE,
    });
  });

  test("a source that dies before it answers: nobody's, with its sealed log as a tail", async () => {
    const source = await start();
    const id = await tenantOn("acme");
    const target = await start();
    source.member.refuse = () => new Promise(() => undefined);
    const moving = move(id, target.worker.incarnation);
    await Bun.sleep(30);
    const { runner } = running.control;
    const meta = runner.meta("test");
    await runner.run((view) => exitWorker(view, meta, source.worker.incarnation, 5 as LogSeq));
    const after = await moving;
    expect(after).toMatchObject({ epoch: 1, tails: [{ incarnation: source.worker.incarnation, endSeq: 5 }] });
    expect(after?.owner).toBeUndefined();
    expect((await resolve("acme")).epoch).toBe(2);
  });

  const refusals: [string, (id: TenantId, self: Incarnation) => Promise<unknown>][] = [
    ["to where it is", (id, self) => move(id, self)],
    ["to nowhere", (id) => move(id, 9 as Incarnation)],
    ["twice at a time", (id) => Promise.all([1, 2].map(() => move(id)))],
  ];
  test.each(refusals)("is refused %s", async (_, run) => {
    const source = await start();
    source.member.refuse = () => Bun.sleep(30) as Promise<never>;
    const id = await tenantOn("acme");
    await expect(run(id, source.worker.incarnation)).rejects.toMatchObject({ code: "conflict" });
  });
});

describe("an eviction", () => {
  test("leaves nobody, keeps the epoch, and the first request assigns the next one", async () => {
    await start();
    const id = await tenantOn("acme");
    const evicted = await move(id);
    expect(evicted).toMatchObject({ state: "evicted", epoch: 1, base: RELEASED_BASE, tails: [] });
    expect(evicted?.owner).toBeUndefined();
    expect((await move(id))?.state).toBe("evicted");
    expect((await resolve("acme")).epoch).toBe(2);
  });
});

describe("suspended and deleted on the way", () => {
  const changes = [
    ["suspended", suspendTenant],
    ["deleted", (view, meta, id) => deleteTenant(view, meta, id, 60_000)],
  ] as [string, typeof suspendTenant][];
  test.each(changes)(
    "%s: no route at once, and it stays with nobody however often the release fails",
    async (_, change) => {
      const source = await start();
      const id = await tenantOn("acme");
      const target = await start();
      let refusals = limits.releaseAttemptsMax + 1;
      source.member.refuse = () =>
        refusals-- > 0 ? errorResponse(new SystemError("overloaded", "Cannot: busy")) : undefined;
      const moving = move(id, target.worker.incarnation);
      await Bun.sleep(20);
      const { runner } = running.control;
      const meta = runner.meta("test");
      await runner.run((view) => change(view, meta, id));
      const { routes } = await running.gateway.call("GET", "/v1/routes", routeSnapshotSchema);
      expect(routes.find(({ slug }) => slug === ("acme" as Slug))).not.toHaveProperty("worker");
      const after = await moving;
      expect(after?.owner).toBeUndefined();
      expect(after?.epoch as number).toBe(1);
    },
  );
});

describe("draining a worker", () => {
  test("moves all its tenants with bounded parallelism once there is room elsewhere", async () => {
    const source = await start();
    const slugs = Array.from({ length: 30 }, (_, i) => `t-${i}`);
    for (const slug of slugs) await tenantOn(slug);
    let inside = 0;
    let most = 0;
    source.member.refuse = async () => {
      most = Math.max(most, ++inside);
      await Bun.sleep(5);
      inside--;
      return undefined as never;
    };
    const { runner, table } = running.control;
    const meta = runner.meta("test");
    await runner.run((view) => emptyWorker(view, meta, source.worker.incarnation));
    await Bun.sleep(50);
    // Nowhere to go yet: everything stays and is served.
    expect(table.tenantsOf(source.worker.incarnation).size).toBe(slugs.length);
    expect((await resolve("t-1")).worker?.incarnation).toBe(source.worker.incarnation);
    const target = await start();
    while (table.tenantsOf(source.worker.incarnation).size > 0) await Bun.sleep(10);
    expect(table.tenantsOf(target.worker.incarnation).size).toBe(slugs.length);
    expect(most).toBeLessThanOrEqual(limits.drainParallel);
    expect(most).toBeGreaterThan(1);
    expect(new Set(slugs.map((slug) => record(slug).epoch as number))).toEqual(new Set([2]));
    expect(table.get(workerKey(source.worker.incarnation))?.state).toBe("draining");
  });
});
