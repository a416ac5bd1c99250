import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Incarnation, LogSeq, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeLogObject } from "../../shared/log/decode.ts";
import { encodeLogObject } from "../../shared/log/encode.ts";
import { encodeState } from "../../shared/log/state.ts";
import { sealLog } from "../../shared/log/seal.ts";
import { logKey, logPrefix, retiredKey } from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import type { Clock } from "../clock.ts";
import { type TestControl, type TestWorker, startTestControl, startTestWorker } from "../control-fixture.ts";
import { sealKey, tenantKey, workerKey } from "../domain/keys.ts";
import { draft, put } from "../domain/view.ts";
import { sweepOnce } from "../liveness/housekeeping.ts";
import { DeadLogs } from "./dead-logs.ts";

const { signal } = new AbortController();
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

const sweep = (): Promise<void> => new DeadLogs({ ...running.control, clock }).sweep(signal);

async function log(worker: TestWorker, slots: number): Promise<void> {
  for (let seq = 1 as LogSeq; seq <= slots; seq++) {
    const state = {
      kind: "state",
      tenant: "a".repeat(15) as TenantId,
      epoch: 1 as never,
      body: encodeState({ a: "secret" }),
    } as const;
    const header = {
      incarnation: worker.incarnation,
      seq,
      nonce: worker.nonce,
      kind: "entries",
      lowWatermark: 0 as LogSeq,
    } as const;
    await running.objects.putIfAbsent(logKey(worker.incarnation, seq), encodeLogObject(header, [state]));
  }
}

async function objectsOf(incarnation: Incarnation): Promise<number[]> {
  const keys = await Array.fromAsync(listAll(running.objects, { prefix: logPrefix(incarnation) }));
  return keys.map(({ key }) => Number.parseInt(key.slice(logPrefix(incarnation).length), 16));
}

/** Dead, sealed. */
async function die(worker: TestWorker): Promise<LogSeq> {
  await worker.kill();
  const { table } = running.control;
  while (table.get(workerKey(worker.incarnation))?.state !== "sealed") await Bun.sleep(10);
  return table.get(sealKey(worker.incarnation))?.endSeq as LogSeq;
}

const endAgain = (incarnation: Incarnation): Promise<LogSeq> =>
  sealLog({ store: running.objects, incarnation, from: 0 as LogSeq, nonce: "c".repeat(32) });

test("a dead log goes an hour after the last tenant dropped it; its SEAL and its end stay", async () => {
  const worker = await startTestWorker(running);
  const { incarnation } = worker;
  await log(worker, 6);
  await running.cp("POST", "/tenants", { slug: "acme" });
  const { tenant } = await running.control.resolver.resolve({ slug: "acme" as never });
  const end = await die(worker);
  const { runner, table } = running.control;
  const hour = limits.deadLogKeepMs + 1_000;
  await sweep();
  laterMs = hour;
  await sweep();
  expect(await objectsOf(incarnation)).toContain(1); // the tenant is still its own
  const named = async (tails: boolean): Promise<void> => {
    await runner.run((view) => {
      const { owner: _, ...record } = view.get(tenantKey(tenant)) as never as Record<string, unknown>;
      const next = { ...record, tails: tails ? [{ incarnation, endSeq: end }] : [] };
      return { draft: draft(view, [], [put(tenantKey(tenant), next as never)]), value: undefined };
    });
  };
  await named(true);
  await sweep();
  laterMs += hour;
  await sweep();
  expect(await objectsOf(incarnation)).toContain(1); // or may need it
  await named(false);
  await sweep();
  expect(table.get(sealKey(incarnation))?.unnamed).toBeDefined();
  laterMs += hour - 2_000;
  await sweep();
  expect(await objectsOf(incarnation)).toContain(1); // not for an hour yet
  laterMs += hour;
  await sweep();
  expect((await objectsOf(incarnation))[0]).toBe(end);
  expect(await running.objects.head(retiredKey(incarnation))).toBeDefined();
  expect(table.get(sealKey(incarnation))?.cleared).toBeDefined();
  expect(await endAgain(incarnation)).toBe(end);
});

test("the log of a worker that an operator removed goes, too, and then it is forgotten", async () => {
  const worker = await startTestWorker(running);
  const { incarnation } = worker;
  await log(worker, 6);
  const end = await die(worker);
  const { table } = running.control;
  const removal = () => running.cp("DELETE", `/workers/${incarnation}`);
  expect(await removal()).toMatchObject({ status: 200, body: { removed: true } });
  expect(JSON.stringify((await running.cp("GET", "/workers")).body)).not.toContain(String(incarnation));
  expect((await removal()).status).toBe(404);
  await sweep();
  laterMs = limits.deadLogKeepMs + 1_000;
  await sweep();
  expect((await objectsOf(incarnation))[0]).toBe(end);
  await sweepOnce({ ...running.control, clock }, signal);
  expect([table.get(workerKey(incarnation)), table.get(sealKey(incarnation))]).toEqual([
    undefined,
    undefined,
  ]);
});

test.each([0, 1, 2, 3])(
  "a log of %i slots keeps them, emptied, so that every sealer finds the same end",
  async (slots) => {
    const worker = await startTestWorker(running);
    const { incarnation } = worker;
    await log(worker, slots);
    const end = await die(worker);
    await sweep();
    laterMs = limits.deadLogKeepMs + 1_000;
    await sweep();
    for (let seq = 1 as LogSeq; seq <= slots; seq++) {
      const bytes = await getBytes(running.objects, logKey(incarnation, seq));
      expect(decodeLogObject(bytes ?? new Uint8Array())).toMatchObject({
        header: { nonce: worker.nonce },
        entries: [],
      });
    }
    // What other sealers left above is void and may be gone: the end does not rest on it.
    await running.objects.delete(
      (await objectsOf(incarnation))
        .filter((seq) => seq > end)
        .map((seq) => logKey(incarnation, seq as LogSeq)),
    );
    expect(await endAgain(incarnation)).toBe(end);
  },
);
