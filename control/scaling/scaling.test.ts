import { describe, expect, test } from "bun:test";
import { pino } from "pino";
import type { Incarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { type Clock, systemClock } from "../clock.ts";
import { Domain } from "../domain/domain-fixture.ts";
import { drainWorker } from "../domain/end-worker.ts";
import type { WorkerLoad } from "../domain/place.ts";
import { ScaleWatch } from "./scale-watch.ts";
import { wantedWorkers } from "./wanted-workers.ts";

const GIB = 1024 ** 3;
const load = (rssGib: number, busyRatio = 0): WorkerLoad => ({
  tenants: 0,
  rssBytes: rssGib * GIB,
  memoryBytes: 4 * GIB,
  busyRatio,
});

function cluster(loads: WorkerLoad[]) {
  const domain = new Domain();
  const incarnations = loads.map((_, i) => domain.register(String(i + 1)));
  const of = (incarnation: Incarnation): WorkerLoad | undefined => loads[incarnations.indexOf(incarnation)];
  return { domain, incarnations, of };
}

describe("wantedWorkers", () => {
  const cases: [string, WorkerLoad[], number, string][] = [
    ["nothing to do", [load(0.1)], 1, "minimum"],
    ["two that idle", [load(0.1), load(0.1)], 1, "minimum"],
    ["two that are filled as planned", [load(0, 0.7), load(0, 0.7)], 2, "cpu"],
    ["two that are busier than planned", [load(0, 0.9), load(0, 0.9)], 3, "cpu"],
    ["memory beyond the plan", [load(3), load(3)], 3, "memory"],
    ["no worker at all", [], 1, "minimum"],
    ["a single full one", [load(3.9)], 2, "memory"],
  ];
  test.each(cases)("%s", (_, loads, workers, reason) => {
    const { domain, of } = cluster(loads);
    expect(wantedWorkers(domain.table, of)).toEqual({ workers, reason: reason as "minimum" });
  });

  test("one that drains counts with what it still has, but has no room", () => {
    const { domain, incarnations, of } = cluster([load(0)]);
    domain.run(drainWorker(domain.table, domain.meta(), incarnations[0]!));
    expect(wantedWorkers(domain.table, of)).toEqual({ workers: 1, reason: "minimum" });
    domain.register("9");
    const full = (): WorkerLoad => load(4 * limits.workerFullRatio);
    expect(wantedWorkers(domain.table, full)).toMatchObject({ workers: 3 });
  });
});

describe("ScaleWatch", () => {
  const quick: Clock = { ...systemClock, sleep: () => Promise.resolve() };

  test("tells the webhook once, when the figure stays, and again when it could not be told", async () => {
    const calls: { body: Record<string, unknown>; authorization: string | null }[] = [];
    let status = 500;
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        const body = (await request.json()) as Record<string, unknown>;
        calls.push({ body, authorization: request.headers.get("authorization") });
        return new Response(null, { status });
      },
    });
    const { domain, of } = cluster([load(3), load(3)]);
    const watch = new ScaleWatch({
      table: domain.table,
      loads: of,
      clock: quick,
      fetch,
      log: pino({ level: "silent" }),
      scaleWebhook: { url: `http://127.0.0.1:${server.port}/scale`, token: "secret" },
    });
    const { signal } = new AbortController();
    await watch.check(signal);
    expect(calls).toHaveLength(0);
    await watch.check(signal);
    expect(calls).toHaveLength(limits.scaleWebhookAttemptsMax);
    status = 204;
    await watch.check(signal);
    await watch.check(signal);
    expect(calls).toHaveLength(limits.scaleWebhookAttemptsMax + 1);
    expect(calls.at(-1)).toMatchObject({
      authorization: "Bearer secret",
      body: { event: "workers.wanted", wanted: 3, live: 2, reason: "memory" },
    });
    expect(watch.current).toEqual({ workers: 3, reason: "memory" });
    await server.stop(true);
  });

  test("a burst of CPU calls for nobody, a lasting one does", async () => {
    const { domain, of } = cluster([load(0, 1)]);
    const parts = { table: domain.table, loads: of, clock: quick, fetch, log: pino({ level: "silent" }) };
    const watch = new ScaleWatch(parts);
    const { signal } = new AbortController();
    await watch.check(signal);
    expect(watch.current?.workers).toBe(1);
    for (let i = 0; i < 30; i++) await watch.check(signal);
    expect(watch.current).toEqual({ workers: 2, reason: "cpu" });
  });
});
