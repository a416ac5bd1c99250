import { afterEach, beforeEach, expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { type TestControl, startTestControl, startTestWorker } from "../control-fixture.ts";
import type { Clock } from "../clock.ts";
import { audit } from "../domain/audit.ts";
import { PREFIXES, nonceKey, sealKey, workerKey } from "../domain/keys.ts";
import { draft } from "../domain/view.ts";
import { DeadLogs } from "../upkeep/dead-logs.ts";
import { sweepOnce } from "./housekeeping.ts";

let running: TestControl;
let laterMs = 0;
const clock: Clock = {
  nowMs: () => Date.now() + laterMs,
  monotonicMs: () => performance.now(),
  sleep: () => Promise.resolve(),
};
beforeEach(async () => {
  laterMs = 0;
  running = await startTestControl();
});
afterEach(() => running.remove());

const sweep = (): Promise<void> => sweepOnce({ ...running.control, clock }, new AbortController().signal);

test("used idempotency keys are kept for a day", async () => {
  const create = (): Promise<{ status: number }> =>
    running.cp("POST", "/tenants", { slug: "acme" }, { "idempotency-key": "k" });
  await create();
  await sweep();
  expect((await create()).status).toBe(201);
  laterMs = limits.idempotencyKeepMs + 1_000;
  await sweep();
  expect((await create()).status).toBe(409);
});

test("a worker that is gone is forgotten after a day, once no tenant names it and its log is deleted", async () => {
  const { table } = running.control;
  const worker = await startTestWorker(running);
  await running.cp("POST", "/tenants", { slug: "acme" });
  await running.control.resolver.resolve({ slug: "acme" as never });
  const successor = await startTestWorker(running, { replaces: worker.incarnation });
  await worker.kill();
  const keys = [workerKey(worker.incarnation), sealKey(worker.incarnation), nonceKey(worker.nonce)];
  const left = (): number => keys.filter((key) => table.modRev(key) !== 0).length;
  // Until its log is sealed.
  while (left() < 3) await Bun.sleep(10);
  laterMs = limits.goneWorkerKeepMs + 1_000;
  await sweep();
  expect(left()).toBe(3); // the tenant still names it
  await running.control.resolver.resolve({ slug: "acme" as never });
  laterMs = 0;
  await sweep();
  expect(left()).toBe(3);
  laterMs = limits.goneWorkerKeepMs + 1_000;
  await sweep();
  expect(left()).toBe(3); // its log is there
  const deadLogs = new DeadLogs({ ...running.control, clock });
  const { signal } = new AbortController();
  await deadLogs.sweep(signal);
  laterMs += limits.deadLogKeepMs + 1_000;
  await deadLogs.sweep(signal);
  await sweep();
  expect(left()).toBe(0);
  expect(table.modRev(workerKey(successor.incarnation))).not.toBe(0);
  await successor.kill();
});

test("the oldest audit entries go when there are too many", async () => {
  const { runner, table, store } = running.control;
  const surplus = limits.txnOperationsMax + 3;
  const auditEntriesMax = table.auditEntries + 10;
  for (let made = 0; made < surplus + 10; made++) {
    const entry = audit({ who: "test", atMs: made, id: "x" }, "test", "test");
    await runner.run((view) => ({ draft: draft(view, [], [entry]), value: undefined }));
  }
  await sweepOnce({ ...running.control, clock, auditEntriesMax }, new AbortController().signal);
  expect(table.auditEntries).toBe(auditEntriesMax);
  const [oldest] = (await store.range(PREFIXES.audit, { limit: 1 })).kvs;
  expect(oldest?.value).toMatchObject({ at: new Date(surplus).toISOString() });
});
