/** How much is open at a time. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { DatabaseName } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { descriptorLimit, openBounds } from "./descriptors.ts";
import { type Closable, IdleLru } from "./idle-lru.ts";
import { TestWorld, codeOf, notes, putNote } from "./test-world.ts";

// A busy machine is no failure: nothing here measures time.
setDefaultTimeout(60_000);

describe("IdleLru", () => {
  test("closes what was used least recently, and passes over what is in use", () => {
    const closed: number[] = [];
    const busy = new Set<number>();
    const lru = new IdleLru(2);
    const items = Array.from({ length: 5 }, (_, n): Closable => ({
      closeIdle: () => !busy.has(n) && closed.push(n) > 0,
    }));
    const use = (n: number): void => lru.used(items[n] as Closable);
    for (const n of [0, 1, 0, 2]) use(n);
    expect(closed).toEqual([1]);
    busy.add(0);
    use(3);
    expect([closed, lru.size]).toEqual([[1, 2], 2]);
    busy.add(3);
    use(4);
    expect([closed, lru.size]).toEqual([[1, 2], 3]);
    busy.clear();
    use(1);
    expect([closed, lru.size]).toEqual([[1, 2, 0, 3], 2]);
  });
});

describe("openBounds", () => {
  test("is the limits when there are descriptors enough, and a share of them otherwise", () => {
    const { tenantsOpenMax: tenants, readersOpenMax: readers, secondariesOpenMax: secondaries } = limits;
    expect(openBounds(undefined)).toEqual({ tenants, readers, secondaries });
    expect(openBounds(1_000_000)).toEqual({ tenants, readers, secondaries });
    const few = openBounds(20_000);
    expect(few.tenants).toBeLessThan(tenants);
    expect(few.tenants * 4 + few.readers * 2 + few.secondaries * 4).toBeLessThanOrEqual(
      20_000 - limits.descriptorsReserved,
    );
    expect(() => openBounds(1_024)).toThrow("files open");
  });

  test("knows this process's limit on Linux", () => {
    if (process.platform === "linux") expect(descriptorLimit()).toBeGreaterThan(100);
  });
});

test("more databases than may be open serve all the same, and lose nothing", async () => {
  const world = await TestWorld.open();
  try {
    // Room for about one of each.
    const host = world.host({ descriptors: limits.descriptorsReserved + 120 });
    const bounds = host.metrics()["tenants_max"] as number;
    expect(bounds).toBeGreaterThan(5);
    const tenants = await Promise.all(
      Array.from({ length: bounds }, () => world.at(host, world.create(host))),
    );
    expect(await codeOf(() => world.at(host, world.create(host)))).toBe("overloaded");
    const names = ["a.db", "b.db", "c.db"] as DatabaseName[];
    for (let round = 0; round < 3; round++) {
      for (const tenant of tenants) {
        await putNote(tenant, `${round}`);
        expect(notes(tenant).length).toBe(round + 1);
        for (const name of names) {
          const seen = tenant.observe();
          await tenant.database(name).write(seen, (tx) => {
            tx.exec("CREATE TABLE IF NOT EXISTS t (a)");
            tx.run("INSERT INTO t VALUES (?)", [round]);
          });
          await seen.settled();
        }
      }
    }
    expect(host.metrics()["secondaries_closed"]).toBeGreaterThan(10);
    expect(host.metrics()["readers_closed"]).toBeGreaterThan(5);
    host.abandon();
    const next = world.host();
    await world.takeOver(host, next);
    for (const { id } of tenants) {
      const tenant = await world.at(next, id);
      expect(notes(tenant)).toEqual(["0", "1", "2"]);
      for (const name of names) {
        const rows = tenant.database(name).read(tenant.observe(), (db) => db.values("SELECT a FROM t"));
        expect(rows).toEqual([[0], [1], [2]]);
      }
    }
    expect(world.errors).toEqual([]);
  } finally {
    world.close();
  }
});
