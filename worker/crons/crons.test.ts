import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { pino } from "pino";
import { type TestApi, startTestApi } from "../app-testing.ts";
import { limits } from "../../shared/limits.ts";
import { systemClock } from "../replication/clock.ts";
import type { Tenant } from "../tenant/contract.ts";
import { Crons } from "./crons.ts";
import type { CronJob } from "./job.ts";

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.close());

const log = pino({ level: "silent" });
const NOON = Date.parse("2026-03-01T12:00:00Z");
const clock = { ...systemClock, nowMs: () => NOON - 60_000, after: () => () => undefined };

function counting(id: string, expression: string | undefined, kind: CronJob["kind"], fails = false) {
  const ran: Tenant[] = [];
  const job: CronJob = {
    id,
    kind,
    expression: () => expression,
    run(tenant) {
      ran.push(tenant);
      return fails ? Promise.reject(new Error("broken")) : Promise.resolve();
    },
  };
  return { job, ran };
}

describe("Crons", () => {
  test("runs what is due, once per minute", async () => {
    const hourly = counting("hourly", "0 * * * *", "harmless");
    const broken = counting("broken", "* * * * *", "harmless", true);
    const never = counting("never", undefined, "harmless");
    const failures: string[] = [];
    const onFailure = (_tenant: Tenant, job: string): void => void failures.push(job);
    const crons = new Crons({ jobs: [broken.job, hourly.job, never.job], log, clock, onFailure });
    crons.attach(api.tenant);
    crons.attach(api.tenant);
    for (const time of [NOON, NOON + 30_000, NOON + 60_000, NOON + 3_600_000]) {
      crons.sweep(time);
      await crons.idle();
    }
    expect(hourly.ran).toEqual([api.tenant, api.tenant]);
    expect(broken.ran).toHaveLength(3);
    expect(failures).toEqual(["broken", "broken", "broken"]);
    expect(never.ran).toEqual([]);
  });

  test("a job that must not be doubled is not run again by the next owner in the same minute", async () => {
    const nightly = counting("nightly", "0 12 * * *", "once");
    for (let owner = 0; owner < 2; owner++) {
      const crons = new Crons({ jobs: [nightly.job], log, clock });
      crons.attach(api.tenant);
      crons.sweep(NOON + 1_000);
      await crons.idle();
    }
    expect(nightly.ran).toHaveLength(1);
    const crons = new Crons({ jobs: [nightly.job], log, clock });
    crons.attach(api.tenant);
    crons.sweep(NOON + 24 * 3_600_000);
    await crons.idle();
    expect(nightly.ran).toHaveLength(2);
  });

  test("a tenant is at work while a job of its runs, due or started by hand", async () => {
    const { promise, resolve: over } = Promise.withResolvers<void>();
    const job: CronJob = { id: "long", kind: "harmless", expression: () => "* * * * *", run: () => promise };
    let atWork = 0;
    const work = (): (() => void) => {
      atWork += 1;
      return () => void (atWork -= 1);
    };
    const crons = new Crons({ jobs: [job], log, clock, work });
    crons.attach(api.tenant);
    expect(crons.start(api.tenant, api.tenant.observe(), "long")).toBe(true);
    expect(atWork).toBe(1);
    crons.sweep(NOON);
    while (atWork < 2) await Bun.sleep(1);
    over();
    await crons.idle();
    while (atWork > 0) await Bun.sleep(1);
  });

  test("so many jobs run at a time, and what is not over is not begun again", async () => {
    const { promise, resolve: over } = Promise.withResolvers<void>();
    const started: string[] = [];
    const jobs = Array.from({ length: limits.cronJobsParallel + 2 }, (_, n): CronJob => {
      const run = (): Promise<void> => {
        started.push(`busy${n}`);
        return promise;
      };
      return { id: `busy${n}`, kind: "harmless", expression: () => "* * * * *", run };
    });
    const crons = new Crons({ jobs, log, clock });
    crons.attach(api.tenant);
    crons.sweep(NOON);
    while (started.length < limits.cronJobsParallel) await Bun.sleep(1);
    crons.sweep(NOON + 60_000);
    await Bun.sleep(10);
    expect(started).toHaveLength(limits.cronJobsParallel);
    over();
    await crons.idle();
    expect(started).toEqual(jobs.map(({ id }) => id));
  });

  test("a job that does not end holds up nobody for ever", async () => {
    let late: (() => void) | undefined;
    const after = (ms: number, fire: () => void): (() => void) => {
      if (ms === limits.cronJobMsMax) late = fire;
      return () => undefined;
    };
    const failures: string[] = [];
    const job: CronJob = {
      ...{ id: "endless", kind: "harmless", expression: () => "* * * * *" },
      run: () => new Promise(() => undefined),
    };
    const onFailure = (_: Tenant, id: string, error: unknown): void =>
      void failures.push(`${id} ${String(error)}`);
    const crons = new Crons({ jobs: [job], log, clock: { ...clock, after }, onFailure });
    crons.attach(api.tenant);
    crons.sweep(NOON);
    while (late === undefined) await Bun.sleep(1);
    late();
    await crons.idle();
    expect(failures).toEqual([expect.stringContaining("it runs for too long")]);
  });

  test("a tenant that has left is swept no more", async () => {
    const often = counting("often", "* * * * *", "harmless");
    const crons = new Crons({ jobs: [often.job], log, clock });
    crons.attach(api.tenant);
    api.world.close();
    crons.sweep(NOON);
    await crons.idle();
    expect(often.ran).toEqual([]);
  });

  test("tells when the tenant must be awake: for what must not be skipped", () => {
    const harmless = counting("a", "* * * * *", "harmless");
    const once = counting("b", "30 12 * * *", "once");
    const seen = api.tenant.observe();
    expect(new Crons({ jobs: [harmless.job], log, clock }).nextDue(api.tenant, seen, NOON)).toBeUndefined();
    expect(new Crons({ jobs: [harmless.job, once.job], log, clock }).nextDue(api.tenant, seen, NOON)).toBe(
      NOON + 1_800_000,
    );
  });
});
