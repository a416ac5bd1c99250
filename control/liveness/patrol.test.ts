import { describe, expect, test } from "bun:test";
import { pino } from "pino";
import type { Incarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../clock.ts";
import { Domain } from "../domain/domain-fixture.ts";
import type { Runner } from "../domain/runner.ts";
import type { Command } from "../domain/view.ts";
import { Brake } from "./brake.ts";
import { Leases } from "./leases.ts";
import { Patrol } from "./patrol.ts";

/** A patrol over a table without a store, on a clock that stands still unless told. */
function patrolled(workers: number) {
  const domain = new Domain();
  const all = Array.from({ length: workers }, (_, i) => domain.register(String(i + 1)));
  const time = { ms: 0, reachable: true };
  const clock: Clock = {
    nowMs: () => time.ms,
    monotonicMs: () => time.ms,
    sleep: () => Promise.resolve(),
  };
  const runner = {
    meta: (who: string) => domain.meta(who),
    run: <T>(command: Command<T>) => Promise.resolve(domain.run(command(domain.table))),
  } as unknown as Runner;
  const leases = new Leases(0);
  for (const worker of all) leases.add(worker);
  const alerts: unknown[] = [];
  const log = pino({ level: "error" }, { write: (line: string) => alerts.push(JSON.parse(line)) });
  const patrol = new Patrol({
    table: domain.table,
    runner,
    leases,
    brake: new Brake(),
    storeReachable: () => Promise.resolve(time.reachable),
    clock,
    log,
  });
  const silence = (who: readonly Incarnation[]): void => who.forEach((worker) => leases.expire(worker));
  const dead = (): number => [...domain.table.workers()].filter((w) => w.state === "dead").length;
  return { all, time, leases, patrol, silence, dead, alerts };
}

const signal = new AbortController().signal;

describe("Patrol", () => {
  test("declares the silent dead and leaves the others", async () => {
    const { all, patrol, silence, dead, leases } = patrolled(3);
    silence(all.slice(0, 1));
    await patrol.sweep(signal);
    expect(dead()).toBe(1);
    expect(leases.expired()).toEqual([]);
  });

  test("mass death: the first three at once, then one a second, with one alert", async () => {
    const { all, patrol, silence, dead, time, alerts } = patrolled(10);
    silence(all);
    await patrol.sweep(signal);
    await patrol.sweep(signal);
    expect(dead()).toBe(3);
    time.ms += limits.deathIntervalMs;
    await patrol.sweep(signal);
    expect(dead()).toBe(4);
    expect(alerts).toHaveLength(1);
    expect(alerts[0]).toMatchObject({ alert: "mass-death", silent: 10 });
  });

  test("gives nobody up while control does not reach the object store", async () => {
    const { all, patrol, silence, dead, time } = patrolled(2);
    silence(all);
    time.reachable = false;
    await patrol.sweep(signal);
    expect(dead()).toBe(0);
    time.reachable = true;
    await patrol.sweep(signal);
    expect(dead()).toBe(2);
  });

  test("a beat that came while the store was probed saves the worker", async () => {
    const { all, patrol, silence, dead, leases } = patrolled(1);
    silence(all);
    const sweep = patrol.sweep(signal);
    leases.renew(all[0]!, { seq: 0 as never, tenants: 0, rssBytes: 0 });
    await sweep;
    expect(dead()).toBe(0);
  });
});
