/** Processes that die at any moment of a transaction: what was committed is captured and restored, nothing else ever is. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { DATA_DB } from "../../shared/ids.ts";
import { bootstrap } from "../model/bootstrap.ts";
import type { Tenant } from "../tenant/contract.ts";
import type { LoadedTenant } from "../tenant/loaded-tenant.ts";
import { type TestHost, TestWorld, gatedStore } from "../tenant/test-world.ts";
import { StatementPool } from "./pool.ts";
import { SqlTransaction } from "./transaction.ts";

const ROUNDS = Number(process.env["MANYBASE_KILL_ROUNDS"] ?? 40);
const HOW = { bounds: { rowsMax: 10, bytesMax: 1_000 }, mayNest: false, mustFit: false };

let world: TestWorld;
let host: TestHost;
let store: ReturnType<typeof gatedStore>;
let tenant: Tenant;
beforeEach(async () => {
  world = await TestWorld.open();
  store = gatedStore(world.store);
  host = world.host({ bootstrap, store: store.store });
  tenant = await world.at(host, world.create(host));
  await tenant.data.write(tenant.observe(), (tx) => tx.exec("CREATE TABLE rows (round, body)"));
});
afterEach(() => world.close(), 60_000);

const begin = (): Promise<SqlTransaction> =>
  SqlTransaction.begin(tenant, tenant.observe(), {
    access: "full",
    deferForeignKeys: false,
    onModelChanged: () => undefined,
  });

const insert = (transaction: SqlTransaction, round: number, rows: number): Promise<unknown> =>
  transaction.run(
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?2) INSERT INTO rows SELECT ?1, randomblob(3000) FROM n",
    [round, rows],
    HOW,
  );

/** @returns whether it is committed */
async function attempt(round: number): Promise<boolean> {
  const transaction = await begin();
  const fate = Math.random();
  const waitMs = Math.random() * (fate < 0.5 ? 6 : 2);
  let killed: Promise<void> | undefined;
  const killLater = async (): Promise<void> => {
    await Bun.sleep(waitMs);
    await transaction.abort("killed by the test");
  };
  try {
    if (fate < 0.35) killed = killLater();
    await insert(transaction, round, 1 + Math.floor(Math.random() * 2_000));
    if (fate < 0.45) {
      await transaction.rollback();
      return false;
    }
    if (fate < 0.8) killed ??= killLater();
    await transaction.commit();
    return true;
  } catch {
    return false;
  } finally {
    await killed?.catch(() => undefined);
    await transaction.rollback().catch(() => undefined);
  }
}

function image(at: Tenant): Buffer {
  const { path, left } = at.data.visit();
  using db = new Database(path, { readonly: true });
  db.run("PRAGMA wal_autocheckpoint=0");
  left();
  return Buffer.from(db.serialize());
}

async function restore(): Promise<Tenant> {
  const second = world.host({ bootstrap });
  await world.takeOver(host, second);
  host.abandon();
  return world.at(second, tenant.id);
}

test(`what is there after ${ROUNDS} transactions, many of them killed, is what was committed, here and restored`, async () => {
  const committed = new Set<number>();
  let number = 0;
  let isOver = false;
  const others = (async () => {
    while (!isOver) {
      number += 1;
      await tenant.data.write(tenant.observe(), (tx) => tx.run("INSERT INTO rows VALUES (?, '')", [-number]));
      await Bun.sleep(Math.random() * 4);
      // As the worker does with an idle tenant, at any moment of another process's transaction.
      if (number % 5 === 0)
        for (const one of (tenant as LoadedTenant).databases.values()) one.cuts.truncateWal();
    }
  })();
  let kills = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    if (await attempt(round)) committed.add(round);
    else kills += 1;
  }
  isOver = true;
  await others;
  expect(committed.size).toBeGreaterThan(0);
  expect(kills).toBeGreaterThan(0);
  const seen = tenant.observe();
  const rounds = (at: Tenant): number[] =>
    at.data.read(seen, (db) =>
      db.values("SELECT DISTINCT round FROM rows WHERE round > 0 ORDER BY round").map(([n]) => Number(n)),
    );
  expect(rounds(tenant)).toEqual([...committed]);
  await seen.settled();
  expect(world.errors).toEqual([]);
  const here = image(tenant);
  const restored = await restore();
  restored.data.read(restored.observe(), (db) => {
    expect(db.values("PRAGMA integrity_check")).toEqual([["ok"]]);
    expect(db.values("SELECT count(*) FROM rows WHERE round < 0")).toEqual([[number]]);
  });
  expect(Bun.hash(image(restored))).toBe(Bun.hash(here));
}, 600_000);

test("a process may be the one that starts the WAL anew, and may die at that", async () => {
  const database = (tenant as LoadedTenant).database(DATA_DB);
  const empty = async (): Promise<void> => {
    const seen = tenant.observe();
    tenant.data.read(seen, () => undefined);
    await seen.settled();
    database.cuts.truncateWal();
  };
  const rows = (at: Tenant): unknown =>
    at.data.read(at.observe(), (db) => db.values("SELECT round, count(*) FROM rows GROUP BY round"));
  const died = async (): Promise<void> => {
    const transaction = await begin();
    await insert(transaction, 9, 2_000);
    await transaction.abort("killed by the test");
  };
  await empty();
  const first = await begin();
  await insert(first, 1, 2);
  await first.commit();
  await empty();
  await died();
  await empty();
  await died();
  const second = await begin();
  await insert(second, 2, 2);
  await second.commit();
  await empty();
  await died();
  await tenant.data.write(tenant.observe(), (tx) => tx.run("INSERT INTO rows VALUES (3, '')"));
  await empty();
  expect(world.errors).toEqual([]);
  const expected = [
    [1, 2],
    [2, 2],
    [3, 1],
  ];
  expect(rows(tenant)).toEqual(expected);
  const here = image(tenant);
  const restored = await restore();
  expect(rows(restored)).toEqual(expected);
  expect(Bun.hash(image(restored))).toBe(Bun.hash(here));
});

test("what another process commits is not seen by an answer that leaves before it is durable", async () => {
  const transaction = await begin();
  await insert(transaction, 7, 1);
  const before = tenant.observe();
  tenant.data.read(before, (db) => expect(db.values("SELECT count(*) FROM rows")).toEqual([[0]]));
  await before.settled();
  const committing = transaction.commit();
  const during = tenant.observe();
  tenant.data.read(during, () => undefined);
  const settled = during.settled();
  expect(settled).toBeInstanceOf(Promise);
  await committing;
  await settled;
  expect(during.headers()["x-durable"]).toBe("1");
});

/** Bytes of the WAL's index, by a process of its own: a descriptor that this one closes would cost it its locks. */
function indexHeader(path: string, write = ""): string {
  const script = `const fs = require("fs"); const fd = fs.openSync(process.argv[1], "r+"); const bytes = Buffer.alloc(136);
    if (process.argv[2]) fs.writeSync(fd, Buffer.from(process.argv[2], "hex"), 0, 136, 0);
    fs.readSync(fd, bytes, 0, 136, 0); console.log(bytes.toString("hex"));`;
  const { stdout } = Bun.spawnSync([process.execPath, "-e", script, `${path}-shm`, write]);
  return stdout.toString().trim();
}

test("a commit that is whole in the WAL and unknown to SQLite is never captured", async () => {
  // One PUT is under way, so this commit's cut has to wait, and falls into the other's commit.
  store.close();
  await tenant.data.write(tenant.observe(), (tx) => tx.run("INSERT INTO rows VALUES (0, 'first')"));
  await Bun.sleep(5);
  await tenant.data.write(tenant.observe(), (tx) => tx.run("INSERT INTO rows VALUES (1, 'before')"));
  const pool = new StatementPool({ processesMax: 1, perOwnerMax: 1 });
  const writer = await pool.lease("a");
  const seen = tenant.observe();
  const lent = tenant.data.lend(seen, async ({ path, commit }) => {
    const open = { type: "open", path, access: "full", writes: true, deferForeignKeys: false } as const;
    await writer.ask(open, 5_000);
    const sql = "INSERT INTO rows VALUES (2, 'lost')";
    await writer.ask({ type: "run", sql, params: [], ...HOW }, 5_000);
    await commit(async () => {
      const before = indexHeader(path);
      await writer.ask({ type: "commit" }, 5_000);
      await writer.kill("by the test");
      // As if it had died right after the last frame.
      indexHeader(path, before);
      store.open();
      await Bun.sleep(30);
      throw new Error("killed");
    });
  });
  expect(await lent.catch((error: unknown) => String(error))).toBe("Error: killed");
  tenant.data.read(seen, () => undefined);
  await seen.settled();
  await tenant.data.write(seen, (tx) => tx.run("INSERT INTO rows VALUES (3, 'after')"));
  await seen.settled();
  const rows = (at: Tenant): unknown =>
    at.data.read(at.observe(), (db) => db.values("SELECT round, body FROM rows ORDER BY round"));
  const expected = [
    [0, "first"],
    [1, "before"],
    [3, "after"],
  ];
  expect(rows(tenant)).toEqual(expected);
  expect(world.errors).toEqual([]);
  const here = image(tenant);
  const restored = await restore();
  expect(rows(restored)).toEqual(expected);
  expect(Bun.hash(image(restored))).toBe(Bun.hash(here));
});
