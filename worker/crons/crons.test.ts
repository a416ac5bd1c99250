import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { pino } from "pino";
import { type TestApi, startTestApi } from "../app-testing.ts";
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
