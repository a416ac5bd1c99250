/** How much is open at a time. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import type { DatabaseName, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { SystemError } from "../../shared/errors.ts";
import { type OpenBounds, descriptorLimit, openBounds } from "./descriptors.ts";
import type { Tenant } from "./contract.ts";
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
    busy.add(1).add(4);
    use(2);
    expect([closed, lru.size]).toEqual([[1, 2, 0, 3], 3]);
    busy.clear();
    lru.trim();
    expect([closed, lru.size]).toEqual([[1, 2, 0, 3, 4], 2]);
    lru.forget(items[2] as Closable);
    expect(lru.size).toBe(1);
    use(2);
    expect(lru.size).toBe(2);
  });
});

describe("openBounds", () => {
  const { tenantsOpenMax: tenants, readersOpenMax: readers, secondariesOpenMax: secondaries } = limits;
  const taken = (bounds: OpenBounds): number =>
    bounds.tenants + bounds.awake * 3 + bounds.readers + bounds.secondaries * 4;

  test("is the limits when there are descriptors enough", () => {
    expect(openBounds(undefined)).toEqual({ tenants, awake: tenants, readers, secondaries });
    expect(openBounds(1_000_000)).toEqual({ tenants, awake: tenants, readers, secondaries });
  });

  test("lets writers rest before it takes fewer tenants", () => {
    const few = openBounds(20_000);
    expect(few).toEqual({ tenants, awake: few.awake, readers, secondaries });
    expect(few.awake).toBeGreaterThanOrEqual(tenants / 8);
    const left = 20_000 - limits.descriptorsReserved - taken(few);
    expect(left).toBeGreaterThanOrEqual(0);
    expect(left).toBeLessThan(3);
  });

  test("takes a share of everything below that, and says what would be enough", () => {
    const few = openBounds(4_096);
    expect(few.tenants).toBeLessThan(tenants);
    expect(few.awake).toBeGreaterThan(few.tenants / 9);
    expect(taken(few)).toBeLessThanOrEqual(4_096 - limits.descriptorsReserved);
    let error: unknown;
    try {
      openBounds(1_024);
    } catch (thrown) {
      error = thrown;
    }
    if (!(error instanceof SystemError)) throw new Error("expected an error");
    expect(error.message).toContain("files open");
    const enough = Number(/, (\d+) for 10000/.exec(error.hint ?? "")?.[1]);
    expect(openBounds(enough).tenants).toBe(tenants);
    expect(openBounds(enough - 1).tenants).toBeLessThan(tenants);
    const never = Number(/with (\d+) none/.exec(error.hint ?? "")?.[1]);
    expect(openBounds(never).awake).toBe(tenants);
    expect(openBounds(never - 3).awake).toBeLessThan(tenants);
  });

  test("knows this process's limit on Linux", () => {
    if (process.platform === "linux") expect(descriptorLimit()).toBeGreaterThan(100);
  });
});

const ON_LINUX = process.platform === "linux";

/** The tenant's files that this process has open. */
function openFiles(tenant: Tenant): string[] {
  const links = readdirSync("/proc/self/fd").flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/self/fd/${descriptor}`)];
    } catch {
      return [];
    }
  });
  return links
    .filter((link) => link.includes(tenant.id))
    .map((link) => basename(link))
    .toSorted();
}

test("a tenant holds no more descriptors than openBounds counts", async () => {
  const world = await TestWorld.open();
  try {
    const few = limits.descriptorsReserved + 60;
    const host = world.host({ descriptors: few });
    const bounds = openBounds(few);
    const tenant = await world.at(host, world.create(host));
    await putNote(tenant, "a");
    const inside = tenant.data.write(tenant.observe(), () => notes(tenant));
    expect(inside).toEqual(["a"]);
    // Capture's own one is among `walFilesOpenMax`.
    const awake = ["data.db", "data.db-shm", "data.db-wal", "data.db-wal"];
    const withReader = ["data.db", ...awake, "data.db-wal"].toSorted();
    if (ON_LINUX) expect(openFiles(tenant)).toEqual(withReader);
    const visit = tenant.data.visit();
    const useOthers = async (): Promise<void> => {
      for (let count = 0; count <= bounds.awake; count++) {
        const other = await world.at(host, (others[count] ??= world.create(host)));
        await putNote(other, "b");
        notes(other);
      }
    };
    const others: TenantId[] = [];
    await useOthers();
    expect(existsSync(`${visit.path}-wal`)).toBe(true);
    visit.left();
    visit.left();
    await useOthers();
    expect(existsSync(`${visit.path}-wal`)).toBe(false);
    if (ON_LINUX) expect(openFiles(tenant)).toEqual(["data.db"]);
    expect(host.metrics()["writers_awake"]).toBeLessThanOrEqual(bounds.awake);
    expect(notes(tenant)).toEqual(["a"]);
    await putNote(tenant, "c");
    expect(world.errors).toEqual([]);
  } finally {
    world.close();
  }
});

test("databases that were all in use at once are closed when they are cut", async () => {
  const world = await TestWorld.open();
  try {
    const host = world.host();
    const tenant = await world.at(host, world.create(host));
    const names = Array.from("abcdefghijklmnopqrst", (letter) => `${letter}.db` as DatabaseName);
    expect(names.length).toBeGreaterThan(limits.secondariesOpenMax);
    const seen = tenant.observe();
    // In one turn, so that no cut comes in between.
    for (const name of names) void tenant.database(name).write(seen, (tx) => tx.exec("CREATE TABLE t (a)"));
    expect(host.metrics()["secondaries_open"]).toBe(names.length);
    await seen.settled();
    expect(host.metrics()["secondaries_open"]).toBe(limits.secondariesOpenMax);
  } finally {
    world.close();
  }
});

test("more databases than may be open serve all the same, and lose nothing", async () => {
  const world = await TestWorld.open();
  try {
    // Room for about one of each.
    const host = world.host({ descriptors: limits.descriptorsReserved + 60 });
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
        // Beside an open transaction, by a reader.
        await tenant.data.write(tenant.observe(), (tx) => {
          tx.run("INSERT INTO notes (text) VALUES ('open')");
          expect(notes(tenant).length).toBe(round + 1);
          tx.run("DELETE FROM notes WHERE text = 'open'");
        });
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
    expect(host.metrics()["writers_rested"]).toBeGreaterThan(10);
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
