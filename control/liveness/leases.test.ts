import { describe, expect, test } from "bun:test";
import type { Incarnation, LogSeq } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { Brake } from "./brake.ts";
import { Leases } from "./leases.ts";

const worker = 1 as Incarnation;
const beat = { seq: 3 as LogSeq, tenants: 0, rssBytes: 1 };

/** Ticks every livenessTickMs until `ms` more have passed. */
function pass(leases: Leases, fromMs: number, ms: number): number {
  for (let at = fromMs; at < fromMs + ms; at += limits.livenessTickMs)
    leases.tick(at + limits.livenessTickMs);
  return fromMs + ms;
}

describe("Leases", () => {
  test("runs out leaseMs after the last beat, and keeps its slot for the sealer", () => {
    const leases = new Leases(0);
    leases.add(worker);
    let now = pass(leases, 0, limits.leaseMs - limits.livenessTickMs);
    expect(leases.expired()).toEqual([]);
    leases.renew(worker, beat);
    now = pass(leases, now, limits.leaseMs - limits.livenessTickMs);
    expect(leases.expired()).toEqual([]);
    pass(leases, now, limits.livenessTickMs);
    expect(leases.expired()).toEqual([worker]);
    expect(leases.last(worker)).toEqual(beat);
  });

  test("a worker that registered has longer until its first beat, and no longer after it", () => {
    const leases = new Leases(0);
    leases.welcome(worker);
    let now = pass(leases, 0, limits.firstLeaseMs - limits.livenessTickMs);
    expect(leases.expired()).toEqual([]);
    leases.renew(worker, beat);
    now = pass(leases, now, limits.leaseMs - limits.livenessTickMs);
    expect(leases.expired()).toEqual([]);
    now = pass(leases, now, limits.livenessTickMs);
    expect(leases.expired()).toEqual([worker]);

    leases.welcome(worker);
    pass(leases, now, limits.firstLeaseMs);
    expect(leases.expired()).toEqual([worker]);
  });

  test("one that was never heard of is gone at once when its process was seen to be", () => {
    const leases = new Leases(0);
    leases.welcome(worker);
    leases.expire(worker);
    expect(leases.expired()).toEqual([worker]);
  });

  test("no lease runs out while control itself stood still", () => {
    const leases = new Leases(0);
    leases.add(worker);
    leases.tick(60_000);
    expect(leases.silentMs(worker)).toBe(2 * limits.livenessTickMs);
    expect(leases.expired()).toEqual([]);
  });

  test("a known death expires at once, and a beat after that revives", () => {
    const leases = new Leases(0);
    leases.add(worker);
    leases.expire(worker);
    expect(leases.hasExpired(worker)).toBe(true);
    leases.renew(worker, beat);
    expect(leases.hasExpired(worker)).toBe(false);
  });
});

describe("Brake", () => {
  /** How many of `live` workers that fall silent at once go at `at`. */
  const admitted = (brake: Brake, at: number, live: number): number => {
    let count = 0;
    while (count < live && brake.admit(at, live - count)) count++;
    return count;
  };

  const cases: [number, number][] = [
    [1, 1],
    [3, 3],
    [10, 3],
    [15, 3],
    [20, 4],
    [100, 20],
  ];
  test.each(cases)("of %d workers that fall silent %d go at once", (live, expected) => {
    expect(admitted(new Brake(), 0, live)).toBe(expected);
  });

  test("then one every deathIntervalMs, never none", () => {
    const brake = new Brake();
    admitted(brake, 0, 10);
    expect(brake.admit(limits.deathIntervalMs - 1, 7)).toBe(false);
    expect(brake.admit(limits.deathIntervalMs, 7)).toBe(true);
    expect(brake.admit(limits.deathIntervalMs, 6)).toBe(false);
    expect(brake.admit(2 * limits.deathIntervalMs, 6)).toBe(true);
  });

  test("the window forgets", () => {
    const brake = new Brake();
    admitted(brake, 0, 10);
    expect(admitted(brake, limits.deathsWindowMs, 7)).toBe(3);
  });
});
