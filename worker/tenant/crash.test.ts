/** Random histories over a faulty store, ended by kills: what was acknowledged is there, once, and nothing else appears. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { AUXILIARY_DB, DATA_DB, type TenantId } from "../../shared/ids.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Positions } from "../../shared/protocol/internal.ts";
import { faultyStore, seededFaults } from "../objects/faults.ts";
import type { Tenant } from "./contract.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";
import { type TestHost, TestWorld } from "./test-world.ts";

let world: TestWorld;
beforeEach(async () => {
  world = await TestWorld.open();
});
afterEach(() => world.close());

interface Model {
  id: TenantId;
  next: number;
  acknowledged: Set<number>;
  /** Written, and its answer was an error or never came. */
  open: Set<number>;
}

type Step =
  | { kind: "write"; tenant: number; rows: number; bytes: number }
  | { kind: "unawaited"; tenant: number }
  | { kind: "vacuum"; tenant: number }
  | { kind: "read"; tenant: number }
  | { kind: "pause" }
  | { kind: "kill" }
  | { kind: "stop" };

const tenant = fc.nat({ max: 1 });
const steps = fc.array(
  fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        kind: fc.constant("write" as const),
        tenant,
        rows: fc.integer({ min: 1, max: 4 }),
        bytes: fc.constantFrom(10, 3_000, 20_000),
      }),
    },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("unawaited" as const), tenant }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("vacuum" as const), tenant }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("read" as const), tenant }) },
    { weight: 3, arbitrary: fc.constant({ kind: "pause" as const }) },
    { weight: 3, arbitrary: fc.constant({ kind: "kill" as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: "stop" as const }) },
  ),
  { minLength: 5, maxLength: 25 },
) as fc.Arbitrary<Step[]>;

const ROWS = "CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, number INTEGER, body BLOB)";

function write(at: Tenant, model: Model, rows: number, bytes: number): Promise<void> {
  const numbers = Array.from({ length: rows }, () => model.next++);
  for (const number of numbers) model.open.add(number);
  const seen = at.observe();
  const run = async (): Promise<void> => {
    await at.data.write(seen, (tx) => {
      tx.exec(ROWS);
      for (const number of numbers)
        tx.run("INSERT INTO rows (number, body) VALUES (?, randomblob(?))", [number, bytes]);
    });
    await at.database(AUXILIARY_DB).write(at.observe(), (tx) => tx.exec(ROWS));
    await seen.settled();
    for (const number of numbers) {
      model.open.delete(number);
      model.acknowledged.add(number);
    }
  };
  return run();
}

async function check(at: Tenant, model: Model): Promise<void> {
  const seen = at.observe();
  const found = at.data.read(seen, (db) => {
    if (db.get("SELECT 1 FROM sqlite_schema WHERE name = 'rows'") === undefined) return [];
    return db.values("SELECT number FROM rows ORDER BY id").map(([number]) => number as number);
  });
  await seen.settled();
  expect(new Set(found).size).toBe(found.length);
  for (const number of model.acknowledged) expect(found).toContain(number);
  for (const number of found) expect(model.acknowledged.has(number) || model.open.has(number)).toBe(true);
  // What a settled read showed may not vanish any more either.
  for (const number of found) {
    model.open.delete(number);
    model.acknowledged.add(number);
  }
  expect(at.data.read(seen, (db) => db.values("PRAGMA integrity_check"))).toEqual([["ok"]]);
}

async function play(seed: number, history: readonly Step[]): Promise<void> {
  const plan = seededFaults(seed, {
    delay: 0.2,
    failBefore: 0.05,
    lostAnswer: 0.1,
    lateEffect: 0.05,
    duplicate: 0.05,
    delayMsMax: 8,
  });
  const store = faultyStore(world.store, (operation, key) =>
    operation === "putIfAbsent" ? plan(operation, key) : undefined,
  );
  let host: TestHost = world.host({ store });
  const models = [0, 1].map((): Model => ({
    id: world.create(host),
    next: 1,
    acknowledged: new Set(),
    open: new Set(),
  }));
  const unawaited: Promise<void>[] = [];
  for (const step of [...history, { kind: "kill" } as const]) {
    if (step.kind === "kill" || step.kind === "stop") {
      const next = world.host({ store });
      if (step.kind === "kill") {
        host.abandon();
        await world.takeOver(host, next);
      } else {
        const exit = await host.stop();
        for (const { tenant, base } of exit.released) world.give(tenant, base, next);
        // Tenants that this host never loaded have nothing in its log.
        for (const known of world.tenants.values()) {
          if (known.incarnation === host.incarnation)
            Object.assign(known, { incarnation: next.incarnation, epoch: known.epoch + 1 });
        }
      }
      await Promise.allSettled(unawaited.splice(0));
      host = next;
      for (const model of models) await check(await world.at(host, model.id), model);
      continue;
    }
    if (step.kind === "pause") {
      await Bun.sleep(5);
      continue;
    }
    const model = models[step.tenant] as Model;
    const at = await world.at(host, model.id);
    if (step.kind === "write") await write(at, model, step.rows, step.bytes);
    else if (step.kind === "unawaited") unawaited.push(write(at, model, 1, 100).catch(() => {}));
    else if (step.kind === "vacuum")
      await at.data.write(at.observe(), (tx) => tx.exec("PRAGMA incremental_vacuum"));
    else await check(at, model);
  }
  expect(world.errors).toEqual([]);
}

describe("TenantHost", () => {
  test("keeps every acknowledged write through kills, stops and a faulty store", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), steps, async (seed, history) => {
        await play(seed, history);
      }),
      { numRuns: 12, endOnFailure: true },
    );
  }, 60_000);

  test("restores the same bytes", async () => {
    const host = world.host();
    const id = world.create(host);
    const model: Model = { id, next: 1, acknowledged: new Set(), open: new Set() };
    const before = (await world.at(host, id)) as LoadedTenant;
    for (let i = 0; i < 20; i++) await write(before, model, 3, 5_000);
    const seen = before.observe();
    await before.data.write(seen, (tx) => tx.run("DELETE FROM rows WHERE number % 3 = 0"));
    await seen.settled();
    const image = await before.database(DATA_DB).cuts.image();
    host.abandon();
    const other = world.host();
    await world.takeOver(host, other);
    const after = (await world.at(other, id)) as LoadedTenant;
    const restored = await after.database(DATA_DB).cuts.image();
    expect(restored?.txid).toBe(image?.txid as never);
    expect(Buffer.compare(restored?.image ?? new Uint8Array(), image?.image ?? new Uint8Array())).toBe(0);
  });

  test("keeps every acknowledged write when the host dies before or after any of its store operations", async () => {
    let died = true;
    let at = 0;
    while (died) {
      at++;
      died = false;
      for (const side of ["before", "after"] as const) {
        const dying = dyingStore(world.store, at, side, () => first.abandon());
        const first: TestHost = world.host({ store: dying.store });
        const model: Model = { id: world.create(first), next: 1, acknowledged: new Set(), open: new Set() };
        let positions: Positions | undefined;
        try {
          for (let i = 0; i < 3; i++) await write(await world.at(first, model.id), model, 2, 3_000);
          positions = await first.release(model.id);
        } catch {
          // Dead. What was acknowledged until then is in the model.
        }
        died ||= dying.count() >= at;
        first.abandon();
        const next = world.host();
        if (positions === undefined) await world.takeOver(first, next);
        else world.give(model.id, positions, next);
        if (positions !== undefined) expect(model.acknowledged.size).toBe(6);
        await check(await world.at(next, model.id), model);
      }
    }
    expect(at).toBeGreaterThan(6);
  }, 60_000);
});

/** Dies at its `at`-th operation, with or without its effect, and does nothing more. */
function dyingStore(
  store: ObjectStore,
  at: number,
  side: "before" | "after",
  die: () => void,
): { store: ObjectStore; count(): number } {
  let count = 0;
  const dead = (): Promise<never> => Promise.reject(new Error("dead"));
  return {
    count: () => count,
    store: new Proxy(store, {
      get(target, name): unknown {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        return async (...args: unknown[]): Promise<unknown> => {
          count++;
          if (count > at || (count === at && side === "before")) {
            die();
            return dead();
          }
          const result: unknown = await (value as (...all: unknown[]) => unknown).apply(target, args);
          if (count < at) return result;
          die();
          return dead();
        };
      },
    }),
  };
}
