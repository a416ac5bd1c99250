import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Incarnation, LogSeq, Slug } from "../../shared/ids.ts";
import { encodeLogObject } from "../../shared/log/encode.ts";
import { sealLog } from "../../shared/log/seal.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { logKey } from "../../shared/objects/layout.ts";
import {
  type Assignment,
  type Route,
  assignmentSchema,
  beatResponseSchema,
  registerResponseSchema,
  routeSchema,
} from "../../shared/protocol/internal.ts";
import { type TestControl, type TestWorker, startTestControl, startTestWorker } from "../control-fixture.ts";
import { sealKey, workerKey } from "../domain/keys.ts";

let running: TestControl;
const workers: TestWorker[] = [];
beforeEach(async () => {
  running = await startTestControl();
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.kill()));
  await running.remove();
});

async function startWorker(extra = {}): Promise<TestWorker> {
  const worker = await startTestWorker(running, extra);
  workers.push(worker);
  return worker;
}

/** Slots 1..count of a worker's log, as the worker would write them. */
async function writeLog(objects: ObjectStore, worker: TestWorker, count: number): Promise<void> {
  for (let slot = 1; slot <= count; slot++) {
    const seq = slot as LogSeq;
    const { incarnation, nonce } = worker;
    const header = { incarnation, seq, nonce, kind: "entries" as const, lowWatermark: 0 as LogSeq };
    expect(await objects.putIfAbsent(logKey(incarnation, seq), encodeLogObject(header, []))).toBe("created");
  }
}

const resolve = (failed?: { incarnation: Incarnation; epoch: number; reason: string }): Promise<Route> =>
  running.gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug: "acme" as Slug, failed });

const assignment = (route: Route): Promise<Assignment> =>
  running.member.call(
    "GET",
    `/v1/workers/${route.worker!.incarnation}/assignments/${route.tenant}`,
    assignmentSchema,
  );

const BEAT = { seq: 0, tenants: 0, rssBytes: 0, draining: false };

describe("takeover from a dead worker", () => {
  test("silence, death, seal, new owner with the sealed log as its tail: one resolve waits for it all", async () => {
    const first = await startWorker();
    await running.cp("POST", "/tenants", { slug: "acme" });
    const before = await resolve();
    expect(before).toMatchObject({ epoch: 1, worker: { incarnation: first.incarnation } });
    await writeLog(running.objects, first, 3);
    const second = await startWorker();
    await first.kill();
    const after = await resolve({ incarnation: first.incarnation, epoch: 1, reason: "refused" });
    expect(after).toMatchObject({ epoch: 2, worker: { incarnation: second.incarnation } });
    expect(await assignment(after)).toMatchObject({
      epoch: 2,
      virgin: true,
      base: {},
      tails: [{ incarnation: first.incarnation, endSeq: 4 as LogSeq }],
    });
    expect(await running.objects.head(logKey(first.incarnation, 4 as LogSeq))).toBeDefined();
    expect(running.control.table.get(workerKey(first.incarnation))?.state).toBe("sealed");
    await expect(first.beat()).resolves.toBe("dead");
  });

  test("without any hint the lease alone decides", async () => {
    const first = await startWorker();
    await running.cp("POST", "/tenants", { slug: "acme" });
    await resolve();
    await startWorker();
    first.isolate();
    expect((await resolve()).epoch).toBe(1);
    let { epoch } = await resolve();
    // The lease counts ticks of control, which come late on a busy machine.
    for (; epoch === 1; { epoch } = await resolve()) await Bun.sleep(limits.livenessTickMs);
    expect(epoch).toBe(2);
  });

  test("a worker that lives is never given up by hearsay", async () => {
    const first = await startWorker();
    await startWorker();
    await running.cp("POST", "/tenants", { slug: "acme" });
    await resolve();
    for (const reason of ["refused", "broken", "not_owner"]) {
      const route = await resolve({ incarnation: first.incarnation, epoch: 1, reason });
      expect(route).toMatchObject({ epoch: 1, worker: { incarnation: first.incarnation } });
    }
  });

  test("a worker that refuses control's own connection lives as long as it beats", async () => {
    const first = await startWorker();
    await startWorker();
    await running.cp("POST", "/tenants", { slug: "acme" });
    await resolve();
    await first.refuse();
    const route = await resolve({ incarnation: first.incarnation, epoch: 1, reason: "refused" });
    expect(route).toMatchObject({ epoch: 1, worker: { incarnation: first.incarnation } });
  });

  test("a frozen worker: the doubting resolve waits until the lease decides", async () => {
    const first = await startWorker();
    const second = await startWorker();
    await running.cp("POST", "/tenants", { slug: "acme" });
    await resolve();
    first.hang();
    first.isolate();
    const route = await resolve({ incarnation: first.incarnation, epoch: 1, reason: "broken" });
    expect(route).toMatchObject({ epoch: 2, worker: { incarnation: second.incarnation } });
  });

  test("a successor that names its predecessor needs no lease to run out", async () => {
    const first = await startWorker();
    await running.cp("POST", "/tenants", { slug: "acme" });
    await resolve();
    // The first one goes on beating: its lease would never run out.
    const second = await startWorker({ replaces: first.incarnation });
    const route = await resolve();
    expect(route).toMatchObject({ epoch: 2, worker: { incarnation: second.incarnation } });
    expect((await assignment(route)).tails).toEqual([]); // the log was empty: SEAL in its first slot
  });

  test("a death that the last leader saw but did not seal is sealed by the next", async () => {
    const first = await startWorker();
    await running.cp("POST", "/tenants", { slug: "acme" });
    await resolve();
    await writeLog(running.objects, first, 1);
    await running.stop();
    // This leader dies in the middle: its sealing never ends.
    running = await startTestControl(running.directory, { sealLog: () => new Promise(() => undefined) });
    await first.kill();
    const next = await startWorker({ replaces: first.incarnation });
    expect(running.control.table.get(workerKey(first.incarnation))?.state).toBe("dead");
    await running.stop();
    running = await startTestControl(running.directory);
    const route = await resolve();
    expect(route).toMatchObject({ epoch: 2, worker: { incarnation: next.incarnation } });
    expect(running.control.table.get(sealKey(first.incarnation))).toEqual({ endSeq: 2 as LogSeq });
  });

  test("sealing that fails is tried again until it works", async () => {
    await running.stop();
    let tries = 0;
    running = await startTestControl(running.directory, {
      sealLog: (options) => {
        tries++;
        return tries < 3 ? Promise.reject(new Error("store away")) : sealLog(options);
      },
    });
    const first = await startWorker();
    await running.cp("POST", "/tenants", { slug: "acme" });
    await resolve();
    await startWorker({ replaces: first.incarnation });
    expect((await resolve()).epoch).toBe(2);
    expect(tries).toBe(3);
  });

  test("a new leader treats every live worker as just seen: who beats lives, who is silent is found", async () => {
    const [first, second] = [await startWorker(), await startWorker()];
    for (const worker of [first, second]) worker.isolate();
    await running.stop();
    running = await startTestControl(running.directory);
    const state = (worker: TestWorker) => running.control.table.get(workerKey(worker.incarnation))?.state;
    expect([state(first), state(second)]).toEqual(["live", "live"]);
    const beat = setInterval(() => {
      void running.member
        .call("POST", `/v1/workers/${first.incarnation}/beats`, beatResponseSchema, BEAT)
        .catch(() => undefined);
    }, limits.beatMs);
    await Bun.sleep(limits.leaseMs + 5 * limits.livenessTickMs);
    clearInterval(beat);
    expect([state(first), state(second)]).toEqual(["live", "sealed"]);
  });

  test("the same registration again, as after a lost answer", async () => {
    const { url, nonce, incarnation } = await startWorker();
    const again = { url, nonce, version: "0.1.0", nowMs: Date.now() };
    const answer = await running.member.call("POST", "/v1/workers", registerResponseSchema, again);
    expect(answer.incarnation).toBe(incarnation);
  });
});
