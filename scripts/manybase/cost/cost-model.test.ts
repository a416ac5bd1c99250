/** The model against the requests of a worker that runs for days on a clock of its own. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { limits } from "../../../shared/limits.ts";
import { bootstrap } from "../../../worker/model/bootstrap.ts";
import { namedUploads } from "../../../worker/model/records/named-uploads.ts";
import { SQL_FUNCTIONS } from "../../../worker/query/functions.ts";
import type { RequestKind } from "../../../worker/objects/counted.ts";
import { type CountedStore, countedStore } from "../../../worker/objects/counted.ts";
import type { Tenant } from "../../../worker/tenant/contract.ts";
import { ManualClock } from "../../../worker/tenant/manual-clock.ts";
import { TestWorld, putNote } from "../../../worker/tenant/test-world.ts";
import { costCommands } from "../commands/cost.ts";
import { PRICES, costOf, logObjectsPerSecond } from "./cost-model.ts";
import { tenantRates } from "./tenant-rates.ts";

// A busy machine is no failure: nothing here measures time.
setDefaultTimeout(60_000);

const FREE = { put: 0, get: 0, storage: 0 };
const HOUR = 60 * 60_000;
let world: TestWorld;
let clock: ManualClock;
let store: CountedStore;
beforeEach(async () => {
  world = await TestWorld.open();
  clock = new ManualClock();
  store = countedStore(clock.timed(world.store));
});
afterEach(() => world.close());

/** The same waits in every run: mulberry32. */
function randoms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Writes that come at random, `perHour` on average. @returns how many */
async function writeFor(tenant: Tenant, perHour: number, ms: number, random: () => number): Promise<number> {
  let writes = 0;
  for (let left = ms; ;) {
    const wait = Math.ceil((-Math.log(1 - random()) * HOUR) / perHour);
    await clock.pass(Math.min(wait, left));
    left -= wait;
    if (left <= 0) return writes;
    await putNote(tenant, `note ${writes++}`);
  }
}

describe("the cost model", () => {
  test("predicts what a worker asks of the store", async () => {
    const host = world.host({ store, clock, bootstrap, namedUploads, sqlFunctions: SQL_FUNCTIONS });
    const tenant = await world.at(host, world.create(host));
    const random = randoms(7);
    const perHour = 3;
    // Until what is old goes, too.
    await writeFor(tenant, perHour, 100 * HOUR, random);
    store.reset();
    const hours = 60;
    const writes = await writeFor(tenant, perHour, hours * HOUR, random);
    host.abandon();

    const seconds = hours * 3_600;
    const entriesPerSecond = writes / seconds;
    const rates = tenantRates({ entriesPerSecond, entryBytes: 600, snapshotBytes: 20_000 });
    const counted = (kind: RequestKind, purpose: string): number => store.requests({ kind, purpose });
    const predicted = (perSecond: number): number => perSecond * seconds;
    const table: [string, number, number][] = [
      [
        "log PUT",
        counted("put", "log"),
        predicted(logObjectsPerSecond(entriesPerSecond + rates.condemnedPut, 600, 0)),
      ],
      [
        "LTX PUT",
        counted("put", "litestream"),
        predicted(rates.materialisePut + rates.compactionPut + rates.snapshotPut),
      ],
      ["bundle PUT", counted("put", "flushes"), predicted(rates.bundlePut)],
      ["LTX GET", counted("get", "litestream"), predicted(rates.compactionGet)],
      ["LIST", counted("list", "tenants"), predicted(rates.maintenanceList)],
      ["condemned PUT", counted("put", "condemned"), predicted(rates.condemnedPut)],
      [
        "sweep",
        counted("list", "storage") + counted("put", "dropped"),
        predicted(rates.sweepList + rates.sweepPut),
      ],
      ["condemned GET", counted("get", "condemned"), 0],
    ];
    for (const [what, real, model] of table) {
      // Within 15 %, or two requests where there are few.
      const within = Math.abs(model - real) <= Math.max(2, real * 0.15);
      expect({ what, real, model: Math.round(model), within }).toMatchObject({ within: true });
    }
    // Nothing worth money is left out.
    const modelled = table.reduce((sum, [, real]) => sum + real, 0);
    const paid = store.requests() - store.requests({ kind: "delete" });
    expect((paid - modelled) / paid).toBeLessThan(0.05);
  }, 180_000);

  test("asks nothing for tenants that nobody writes to, as a worker does", async () => {
    const host = world.host({ store, clock });
    const tenant = await world.at(host, world.create(host));
    await putNote(tenant, "one");
    // All that is due after its last write, and then an idle week.
    await clock.pass(40 * 24 * HOUR);
    store.reset();
    await clock.pass(7 * 24 * HOUR);
    expect(store.requests()).toBe(0);
    const idle = {
      activeShare: 0,
      writesPerSecond: 1_000,
      bytesPerWrite: 1_400,
      workers: 10,
      putMs: 35,
      countedReadsPerSecond: 0,
    };
    const cost = costOf(
      { tenants: 100_000, databaseBytes: 1e6, loadsPerDay: 0, ...idle },
      PRICES["s3"] ?? FREE,
    );
    expect(cost.lines.map(({ perSecond }) => perSecond)).toEqual(cost.lines.map(() => 0));
    expect(cost.dollars).toBe(cost.storageDollars);
    expect(cost.storedBytes).toBe(100_000 * 1e6);
  }, 30_000);

  test("does not let requests grow with tenants, but with writes", () => {
    const load = {
      activeShare: 0.2,
      bytesPerWrite: 1_400,
      databaseBytes: 1e6,
      workers: 10,
      putMs: 35,
      countedReadsPerSecond: 0,
      loadsPerDay: 0,
    };
    const log = (tenants: number, writesPerSecond: number): number =>
      costOf({ ...load, tenants, writesPerSecond }, FREE).lines.find(({ what }) => what === "log PUT")
        ?.perSecond ?? 0;
    expect(log(1_000_000, 10_000) / log(1_000, 10_000)).toBeLessThan(1.05);
    const state = (writesPerSecond: number): number =>
      costOf({ ...load, tenants: 1_000, writesPerSecond, countedReadsPerSecond: 10_000 }, FREE).lines.find(
        ({ what }) => what === "state PUT",
      )?.perSecond ?? 0;
    // One a second and worker, unless commits carry it.
    expect(state(0)).toBeCloseTo(10 / (limits.stateEveryMs / 1000));
    expect(state(1_000)).toBeLessThan(0.001);
    // One PUT at a time: a worker's log has an end, however much is written.
    expect(log(1_000, 1_000_000)).toBeLessThanOrEqual(10 / 0.035 + (1_000_000 * 1_400) / (8 * 1024 * 1024));
  });
});

describe("manybase cost", () => {
  const [command] = costCommands;
  const run = (options: Record<string, string>) => command?.run(undefined as never, [], options);

  test("prints each kind of request, what it costs, and why", async () => {
    const result = await run({ tenants: "100000", active: "20", price: "r2" });
    for (const what of [
      "log PUT",
      "materialise PUT",
      "compaction GET",
      "maintenance LIST",
      "storage",
      "all",
    ]) {
      expect(result?.text).toContain(`\n${what} `);
    }
    expect(result?.text).toContain("80000 tenants that nobody writes to: no requests");
    const value = result?.value as ReturnType<typeof costOf> | undefined;
    const { dollars = 0, storageDollars = 0, lines = [] } = value ?? {};
    expect(lines.reduce((sum, line) => sum + line.dollars, storageDollars)).toBeCloseTo(dollars);
  });

  test.each([{ active: "120" }, { tenants: "many" }, { workers: "0" }, { price: "cheap" }, { price: "1,2" }])(
    "refuses %p",
    async (options) => {
      await expect(run(options)).rejects.toMatchObject({ code: "invalid_option" });
    },
  );
});
