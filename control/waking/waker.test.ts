import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { pino } from "pino";
import { z } from "zod";
import type { LogSeq, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { routeSchema } from "../../shared/protocol/internal.ts";
import type { Clock } from "../clock.ts";
import { type TestControl, type TestWorker, startTestControl, startTestWorker } from "../control-fixture.ts";
import { deleteTenant } from "../domain/delete-tenant.ts";
import { tenantKey } from "../domain/keys.ts";
import type { TenantRecord } from "../domain/records.ts";
import { exitWorker } from "../domain/end-worker.ts";
import { resumeTenant, suspendTenant } from "../domain/suspend-tenant.ts";
import { beginTransfer } from "../domain/transfer-tenant.ts";
import { createWorkerClient } from "../moving/worker-client.ts";
import { type Member, actAsMember } from "../worker-fixture.ts";
import { Waker } from "./waker.ts";

const DUE = Date.parse("2096-03-01T00:00:00Z");

let running: TestControl;
let worker: TestWorker;
let member: Member;
let nowMs: number;
let passedMs: number;
let waker: Waker;
const never = new AbortController().signal;

beforeEach(async () => {
  // The control's own one lives in real time, in which nothing of this is due.
  running = await startTestControl();
  worker = await startTestWorker(running);
  member = actAsMember(worker);
  nowMs = DUE - 1;
  passedMs = 0;
  waker = wakerOf(running);
});
afterEach(async () => {
  await worker.kill();
  await running.remove();
});

const clock: Clock = {
  nowMs: () => nowMs,
  monotonicMs: () => passedMs,
  sleep: () => Promise.reject(new Error("no time passes here")),
};

const wakerOf = ({ control }: TestControl): Waker =>
  new Waker({
    table: control.table,
    waiters: control.waiters,
    workers: createWorkerClient(control),
    resolve: (slug) => control.resolver.resolve({ slug }),
    clock,
    log: pino({ level: "silent" }),
  });

const record = (id: TenantId): TenantRecord | undefined => running.control.table.get(tenantKey(id));
const report = (id: TenantId, dueMs: number | null) =>
  running.member.call("POST", `/v1/workers/${worker.incarnation}/reports`, z.object({}), {
    reports: [{ tenant: id, epoch: record(id)?.epoch, kind: "serving", dueMs }],
  });

async function serving(slug: string, dueMs: number): Promise<TenantId> {
  await running.cp("POST", "/tenants", { slug });
  const { tenant } = await running.gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug });
  await report(tenant, dueMs);
  return tenant;
}

async function evicted(slug: string, dueMs: number): Promise<TenantId> {
  const id = await serving(slug, dueMs);
  const { runner } = running.control;
  const meta = runner.meta("test");
  await runner.run((view) => beginTransfer(view, { meta, id, why: "evict" }));
  while (record(id)?.owner !== undefined) await Bun.sleep(5);
  return id;
}

function pass(ms: number): void {
  nowMs += ms;
  passedMs += ms;
}

describe("Waker", () => {
  test("loads an evicted tenant when it is due, and not before; the record keeps when", async () => {
    const id = await evicted("acme", DUE);
    expect(record(id)).toMatchObject({ state: "evicted", dueMs: DUE });
    expect(await waker.sweep(never)).toBe(0);
    pass(1);
    expect(await waker.sweep(never)).toBe(1);
    expect(member.loaded).toEqual([{ tenant: id, epoch: 2 as never }]);
    await report(id, DUE + 86_400_000);
    pass(10 * 60_000);
    expect(await waker.sweep(never)).toBe(0);
    await report(id, null);
    expect(record(id)?.dueMs).toBeUndefined();
  });

  test("leaves a loaded tenant to its owner, which tells its next time by itself; asks when it does not", async () => {
    const id = await serving("acme", DUE);
    pass(limits.wakeOwnerGraceMs);
    expect(await waker.sweep(never)).toBe(0);
    pass(1);
    expect(await waker.sweep(never)).toBe(1);
    expect(member.loaded).toEqual([{ tenant: id, epoch: 1 as never }]);
    // It says nothing: asked less and less often.
    const asked: number[] = [];
    for (let minute = 1; minute <= 16; minute++) {
      pass(60_000);
      if ((await waker.sweep(never)) > 0) asked.push(minute);
    }
    expect(asked).toEqual([1, 2, 4, 8, 16]);
  });

  test("wakes nobody who is suspended or deleted", async () => {
    const [suspended, deleted] = [await evicted("suspended", DUE), await evicted("deleted", DUE)];
    const { runner } = running.control;
    const meta = [runner.meta("test"), runner.meta("test"), runner.meta("test")] as const;
    await runner.run((view) => suspendTenant(view, meta[0], suspended));
    await runner.run((view) => deleteTenant(view, meta[1], deleted, 60_000));
    pass(1);
    expect(await waker.sweep(never)).toBe(0);
    await runner.run((view) => resumeTenant(view, meta[2], suspended));
    expect(await waker.sweep(never)).toBe(1);
  });

  test("a worker that is away is asked again later; a tenant that fails keeps nobody else asleep", async () => {
    await evicted("broken", DUE);
    await evicted("fine", DUE);
    const { answer } = worker;
    const { id: broken } = record(await idOf("broken")) as TenantRecord;
    worker.answer = (request) =>
      request.url.includes(`${broken}/load`) ? new Response(null, { status: 500 }) : answer(request);
    pass(1);
    expect(await waker.sweep(never)).toBe(1);
    worker.answer = answer;
    expect(await waker.sweep(never)).toBe(0);
    pass(limits.wakeOwnerGraceMs);
    expect(await waker.sweep(never)).toBe(2);
  });

  test("another leader goes on where the one before stopped", async () => {
    const id = await evicted("acme", DUE);
    pass(1);
    const { directory } = running;
    const port = Number(new URL(running.url).port);
    await running.stop();
    running = await startTestControl(directory, {}, { port });
    waker = wakerOf(running);
    expect(await waker.sweep(never)).toBe(1);
    expect(member.loaded).toEqual([{ tenant: id, epoch: 2 as never }]);
  });
});

describe("the leader's own waker", () => {
  test("runs by itself", async () => {
    const id = await evicted("acme", Date.now() - 1_000);
    const { directory } = running;
    const port = Number(new URL(running.url).port);
    await running.stop();
    running = await startTestControl(directory, {}, { port });
    const deadlineMs = performance.now() + 5_000;
    while (member.loaded.length === 0 && performance.now() < deadlineMs) await Bun.sleep(10);
    expect(member.loaded).toEqual([{ tenant: id, epoch: 2 as never }]);
  });

  test("waits for the first worker, and then does not wait for the minute", async () => {
    const id = await evicted("acme", Date.now() - 1_000);
    const { runner } = running.control;
    const meta = runner.meta("test");
    await runner.run((view) => exitWorker(view, meta, worker.incarnation, 1 as LogSeq));
    await worker.kill();
    const { directory } = running;
    await running.stop();
    running = await startTestControl(directory);
    worker = await startTestWorker(running);
    member = actAsMember(worker);
    while (member.loaded.length === 0) await Bun.sleep(10);
    expect(member.loaded).toEqual([{ tenant: id, epoch: 2 as never }]);
  });
});

async function idOf(slug: string): Promise<TenantId> {
  const { tenant } = await running.gateway.call("POST", "/v1/routes/find", routeSchema, { slug });
  return tenant;
}
