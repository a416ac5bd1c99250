/**
 * What loading a large tenant costs, as ratios to copying its database file in the same run: `bun test/bench/restore.ts [megabytes]`.
 * Also how long the main thread stood still meanwhile, and what a snapshot of it by merging its objects costs.
 */
import { Database } from "bun:sqlite";
import { copyFileSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_DB, type Epoch } from "../../shared/ids.ts";
import { ltxPrefix } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import { bulkThreads } from "../../worker/replication/bulk/threads.ts";
import { systemClock } from "../../worker/replication/clock.ts";
import { DatabaseLedger, emptyChain } from "../../worker/replication/ledger.ts";
import { mergeSnapshot } from "../../worker/replication/merge-snapshot.ts";
import { type TestHost, TestWorld, putNote } from "../../worker/tenant/test-world.ts";

const ROUNDS = 5;
const STALL_TICK_MS = 1;
const megabytes = Number(process.argv[2] ?? 100);

/** A database as PocketBase keeps them: ids, text, numbers, dates, one index. */
function makeDatabase(path: string): void {
  const db = new Database(path, { create: true });
  db.run("PRAGMA journal_mode=WAL");
  db.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)");
  db.run("CREATE TABLE records (id TEXT PRIMARY KEY, title TEXT, count REAL, created TEXT)");
  while (statSync(path).size < megabytes * 1e6) {
    db.run(
      `INSERT INTO records WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
       SELECT lower(hex(randomblob(7))) || 'x', 'the title of record ' || i * 7919 % 10007, i, datetime(1700000000 + i, 'unixepoch') FROM n`,
    );
    db.run("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  db.close();
}

/** The longest time in which the event loop did not turn. */
function watchStalls(): () => number {
  let last = performance.now();
  let longest = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last - STALL_TICK_MS);
    last = now;
  }, STALL_TICK_MS);
  return () => {
    clearInterval(timer);
    return longest;
  };
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

const directory = mkdtempSync(join(tmpdir(), "bench-restore-"));
const world = await TestWorld.open();
try {
  const source = join(directory, "source.db");
  makeDatabase(source);
  const size = statSync(source).size;
  const first = world.host();
  const id = world.create(first);
  let host: TestHost = first;
  let tenant = await world.at(host, id);
  const importing = watchStalls();
  let startedMs = performance.now();
  await tenant.replaceDatabases(tenant.observe(), new Map([[DATA_DB, source]]));
  const importMs = performance.now() - startedMs;
  const importStallMs = importing();
  for (let i = 0; i < 20; i++) {
    const seen = tenant.observe();
    await tenant.data.write(seen, (tx) =>
      tx.exec(`UPDATE records SET count = count + 1 WHERE rowid % 997 = ${i}`),
    );
    await seen.settled();
  }

  const move = async (): Promise<void> => {
    const base = await host.release(id);
    host = world.host();
    world.give(id, base, host);
  };
  const copyMs: number[] = [];
  const restoreMs: number[] = [];
  const stallsMs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await move();
    startedMs = performance.now();
    copyFileSync(source, join(directory, "copy.db"));
    copyMs.push(performance.now() - startedMs);
    const stalls = watchStalls();
    startedMs = performance.now();
    tenant = await host.acquire(id, world.known(id).epoch as Epoch);
    await putNote(tenant, `round ${round}`);
    restoreMs.push(performance.now() - startedMs);
    stallsMs.push(stalls());
  }

  let stored = 0;
  let files = 0;
  for await (const object of listAll(world.store, { prefix: ltxPrefix(id, DATA_DB) })) {
    stored += object.size;
    files++;
  }
  const base = await host.release(id);
  const position = base[DATA_DB];
  if (position === undefined) throw new Error("the tenant has no database");
  const ledger = new DatabaseLedger(id, DATA_DB, position, emptyChain());
  const bulk = { work: bulkThreads(), directory: join(directory, "bulk") };
  const merging = watchStalls();
  startedMs = performance.now();
  const { signal } = new AbortController();
  await mergeSnapshot({ store: world.store, clock: systemClock, signal, bulk }, ledger);
  const mergeMs = performance.now() - startedMs;
  const mergeStallMs = merging();

  const rate = (ms: number): string => `${(size / 1e3 / ms).toFixed(0).padStart(5)} MB/s`;
  const ms = (value: number): string => `${value.toFixed(0)} ms`;
  console.log(
    `${(size / 1e6).toFixed(0)} MB database, ${(stored / 1e6).toFixed(0)} MB in ${files} objects, file store`,
  );
  console.log(`copy of the file                    ${rate(median(copyMs))}`);
  console.log(
    `restore to the first write served   ${rate(median(restoreMs))}  ${ms(median(restoreMs))}, ${(median(restoreMs) / median(copyMs)).toFixed(1)} times the copy`,
  );
  console.log(
    `  longest stall of the main thread  ${ms(median(stallsMs))} (median of ${ROUNDS}), worst ${ms(Math.max(...stallsMs))}`,
  );
  console.log(`import, durable                     ${rate(importMs)}  longest stall ${ms(importStallMs)}`);
  console.log(`snapshot by merging its objects     ${rate(mergeMs)}  longest stall ${ms(mergeStallMs)}`);
} finally {
  world.close();
  rmSync(directory, { recursive: true, force: true });
}
process.exit(0);
