import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { FixedWindows } from "../pb/fixed-windows.ts";
import type { Tenant } from "../tenant/contract.ts";
import { type TestHost, TestWorld } from "../tenant/test-world.ts";
import { CarriedValues } from "./carried-values.ts";
import { carriedWindows } from "./carried-windows.ts";

let world: TestWorld;
beforeEach(async () => {
  world = await TestWorld.open();
});
afterEach(() => world.close());

async function move(from: TestHost, tenant: Tenant): Promise<{ host: TestHost; tenant: Tenant }> {
  const host = world.host();
  world.give(tenant.id, await from.release(tenant.id), host);
  world.known(tenant.id).carried = from.carriedBy(tenant).carried;
  return { host, tenant: await world.at(host, tenant.id) };
}

describe("what a tenant carries", () => {
  test("counts on at the next owner, and through owners that nobody asked for it", async () => {
    const first = world.host();
    const tenant = await world.at(first, world.create(first));
    const take = (windows: FixedWindows, key = "client"): boolean => windows.take(key, 3, 60_000, Date.now());
    const before = carriedWindows(tenant, "tries");
    expect([take(before), take(before), take(before, "other")]).toEqual([true, true, true]);
    const second = await move(first, tenant);
    const third = await move(second.host, second.tenant);
    const after = carriedWindows(third.tenant, "tries");
    expect([take(after), take(after), take(after, "other"), take(after, "other")]).toEqual([
      ...[true, false, true, true],
    ]);
  });

  test("is told by a clean exit too, and not at all by a tenant that has none", async () => {
    const host = world.host();
    const [one, none] = [world.create(host), world.create(host)];
    carriedWindows(await world.at(host, one), "tries").take("client", 1, 60_000, Date.now());
    carriedWindows(await world.at(host, none), "tries");
    const { released } = await host.stop();
    const carried = new Map(released.map((tenant) => [tenant.tenant, tenant.carried]));
    expect(Object.keys(carried.get(one) ?? {})).toEqual(["tries"]);
    expect(carried.get(none)).toBeUndefined();
  });
});

describe("FixedWindows saved", () => {
  const NOW = 1_000_000;

  test("holds what still counts, the most used up first, within its bound, and no readable key", () => {
    const windows = new FixedWindows(10_000);
    for (let n = 0; n < 5_000; n++) windows.take(`10.0.0.${n}`, 5, 1_000, NOW);
    for (let n = 0; n < 5; n++) windows.take("attacker", 5, 1_000, NOW);
    windows.take("over", 5, 10, NOW - 10);
    const text = windows.save(limits.carriedValueCharactersMax, NOW) ?? "";
    expect(text.length).toBeLessThanOrEqual(limits.carriedValueCharactersMax);
    expect(text).not.toContain("10.0.0");
    const resumed = new FixedWindows(10);
    resumed.resume(text);
    expect(resumed.take("attacker", 5, 1_000, NOW)).toBe(false);
    expect(resumed.take("attacker", 5, 1_000, NOW + 1_000)).toBe(true);
    const short = new FixedWindows(10);
    short.take("over", 5, 10, NOW - 10);
    expect(short.save(100, NOW)).toBeUndefined();
  });

  test("what cannot be read counts as nothing", () => {
    const windows = new FixedWindows(10);
    windows.resume("x,:,a:b:c:d,a:1:2");
    expect(windows.save(100, 0)).toBeUndefined();
  });
});

test("CarriedValues leaves out what is too long and refuses a name twice", () => {
  const values = new CarriedValues({ kept: "1", old: "2" });
  values.carry("long", () => "x".repeat(limits.carriedValueCharactersMax + 1));
  expect(values.carry("old", () => "3").given).toBe("2");
  expect(values.collect()).toEqual({ carried: { kept: "1", old: "3" } });
  expect(() => values.carry("old", () => "4")).toThrow(RangeError);
});
