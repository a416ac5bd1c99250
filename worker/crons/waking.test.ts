import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { pino } from "pino";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { bootstrap } from "../model/bootstrap.ts";
import { type SettingsObject, loadSettings, saveSettings } from "../pb/settings.ts";
import { SQL_FUNCTIONS } from "../query/functions.ts";
import { systemClock } from "../replication/clock.ts";
import type { Tenant } from "../tenant/contract.ts";
import { type TestHost, TestWorld, gatedStore } from "../tenant/test-world.ts";
import { Crons } from "./crons.ts";
import type { CronJob } from "./job.ts";

const MINUTE_MS = 60_000;
const NOON = Date.parse("2026-03-01T12:00:00Z");
const log = pino({ level: "silent" });

let world: TestWorld;
let nowMs: number;
let ran: number[];
beforeEach(async () => {
  world = await TestWorld.open();
  nowMs = NOON;
  ran = [];
});
afterEach(() => world.close());

const job = (expression: string | ((settings: SettingsObject) => string | undefined)): CronJob => ({
  id: "backup",
  kind: "once",
  expression: typeof expression === "string" ? () => expression : expression,
  run: () => Promise.resolve(void ran.push(nowMs)),
});

/** A worker of its own, as `main` wires it: jobs are attached at the load. */
function owner(
  jobs: CronJob | readonly CronJob[],
  store: ObjectStore = world.store,
): { host: TestHost; crons: Crons } {
  const clock = { ...systemClock, nowMs: () => nowMs, after: () => () => undefined };
  const crons = new Crons({ jobs: [jobs].flat(), log, clock });
  const host = world.host({
    store,
    sqlFunctions: SQL_FUNCTIONS,
    bootstrap: async (tenant) => {
      await bootstrap(tenant);
      crons.attach(tenant);
    },
  });
  return { host, crons };
}

const told = (id: TenantId): number | undefined => world.known(id).dueMs;
const reported = async (id: TenantId, dueMs: number | undefined): Promise<void> => {
  for (let tries = 0; told(id) !== dueMs && tries < 500; tries++) await Bun.sleep(2);
  expect(told(id)).toBe(dueMs);
};

async function evict(host: TestHost, id: TenantId, tenant: Tenant): Promise<void> {
  const base = await host.release(id);
  world.give(id, base, host);
  world.known(id).dueMs = tenant.dueMs;
}

describe("when a tenant is due", () => {
  test("is told at the load, after each run, and when the settings change it", async () => {
    const cron = (settings: SettingsObject): string | undefined => {
      const { backups } = settings as { backups: { cron: string } };
      return backups.cron === "" ? undefined : backups.cron;
    };
    const { host, crons } = owner(job(cron));
    const id = world.create(host);
    const tenant = await world.at(host, id);
    const set = (to: string) =>
      tenant.data.write(tenant.observe(), (tx) => {
        const settings = loadSettings(tx);
        saveSettings(
          tenant,
          tx,
          { ...settings, backups: { ...(settings["backups"] as object), cron: to } },
          "",
        );
      });
    expect(world.reports.some(({ dueMs }) => dueMs !== undefined)).toBe(false);
    await set("*/30 * * * *");
    await reported(id, NOON + 30 * MINUTE_MS);
    nowMs = NOON + 30 * MINUTE_MS;
    crons.sweep(nowMs);
    await crons.idle();
    await reported(id, NOON + 60 * MINUTE_MS);
    expect(ran).toHaveLength(1);
    await set("");
    await reported(id, undefined);
  });

  test("a run that waits for its turn stays due, so that nothing is lost when the tenant leaves", async () => {
    const { host, crons } = owner(job("0 13 * * *"));
    const id = world.create(host);
    const tenant = await world.at(host, id);
    nowMs = NOON + 60 * MINUTE_MS;
    crons.sweep(nowMs);
    expect(tenant.dueMs).toBe(NOON + 60 * MINUTE_MS);
    await crons.idle();
    expect(tenant.dueMs).toBe(NOON + 25 * 60 * MINUTE_MS);
  });

  test("a run that still waits when its tenant leaves and comes back is made up for here", async () => {
    const { promise, resolve: over } = Promise.withResolvers<void>();
    const busy = Array.from({ length: limits.cronJobsParallel }, (_, n): CronJob => {
      return { id: `busy${n}`, kind: "harmless", expression: () => "0 13 * * *", run: () => promise };
    });
    const { host, crons } = owner([...busy, job("0 13 * * *")]);
    const id = world.create(host);
    const tenant = await world.at(host, id);
    nowMs = NOON + 60 * MINUTE_MS;
    crons.sweep(nowMs);
    await evict(host, id, tenant);
    await world.at(host, id);
    over();
    await crons.idle();
    expect(ran).toEqual([nowMs]);
  });
});

test("a job runs when it is durable that it does, and not before", async () => {
  const gate = gatedStore(world.store);
  const { host, crons } = owner([job("0 13 * * *")], gate.store);
  await world.at(host, world.create(host));
  gate.close();
  nowMs = NOON + 60 * MINUTE_MS;
  crons.sweep(nowMs);
  await Bun.sleep(50);
  expect(ran).toEqual([]);
  gate.open();
  await crons.idle();
  expect(ran).toEqual([nowMs]);
});

describe("a due minute that passed while nobody had the tenant", () => {
  test("is made up for once, by whoever loads it, and never again", async () => {
    const first = owner(job("30 * * * *"));
    const id = world.create(first.host);
    await evict(first.host, id, await world.at(first.host, id));
    expect(told(id)).toBe(NOON + 30 * MINUTE_MS);
    nowMs = NOON + 40 * MINUTE_MS;
    const second = owner(job("30 * * * *"));
    world.known(id).incarnation = second.host.incarnation;
    await world.at(second.host, id);
    await second.crons.idle();
    expect(ran).toEqual([nowMs]);
    await reported(id, NOON + 90 * MINUTE_MS);
    // Control did not hear that: it is told the old time again.
    world.known(id).dueMs = NOON + 30 * MINUTE_MS;
    const third = owner(job("30 * * * *"));
    await world.takeOver(second.host, third.host);
    await world.at(third.host, id);
    await third.crons.idle();
    expect(ran).toHaveLength(1);
    await reported(id, NOON + 90 * MINUTE_MS);
  });

  test.each([
    ["many passed: one run", "* * * * *", 30, 1],
    ["older than an hour: skipped", "0 12 * * *", 61, 0],
    ["just young enough", "0 12 * * *", 60, 1],
  ])("%s", async (_, expression, laterMinutes, runs) => {
    nowMs = NOON - MINUTE_MS;
    const first = owner(job(expression));
    const id = world.create(first.host);
    await evict(first.host, id, await world.at(first.host, id));
    expect(told(id)).toBe(NOON);
    nowMs = NOON + laterMinutes * MINUTE_MS + 1_000;
    const second = owner(job(expression));
    world.known(id).incarnation = second.host.incarnation;
    await world.at(second.host, id);
    await second.crons.idle();
    expect(ran).toHaveLength(runs);
  });

  test("a process that was held up makes up for it too", async () => {
    const { host, crons } = owner(job("5 12 * * *"));
    await world.at(host, world.create(host));
    nowMs = NOON + 20 * MINUTE_MS;
    crons.sweep(nowMs);
    await crons.idle();
    expect(ran).toHaveLength(1);
  });
});
