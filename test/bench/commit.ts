/**
 * A replicated commit against a bare bun:sqlite commit in the same run: `bun test/bench/commit.ts`. Prints times and ratios, lower
 * is better. "encoded" is commit, capture, LTX and log object in memory; "logged" adds the PUT to a file store, until durable.
 */
import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_DB, type Epoch, type Incarnation, type LogSeq, type TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { encodeLogObject } from "../../shared/log/encode.ts";
import { openObjectStore } from "../../worker/objects/open.ts";
import { DatabaseCapture } from "../../worker/replication/capture.ts";
import { systemClock } from "../../worker/replication/clock.ts";
import { openWriter } from "../../worker/sqlite/open.ts";
import { createTenantHost } from "../../worker/tenant/host.ts";
import { loneControl } from "./lone-control.ts";

const COMMITS = 4_000;
const ROUNDS = 5;
const TENANT = "abcdefghijklmno" as TenantId;
const SCHEMA =
  "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, created TEXT); CREATE INDEX by_created ON notes (created)";
const INSERT = "INSERT INTO notes (id, title, created) VALUES (?, ?, ?)";
const directory = mkdtempSync(join(tmpdir(), "bench-commit-"));
let rows = 0;
const row = (): [string, string, string] => [
  `r${++rows}`,
  `Title of note ${rows}`,
  "2026-01-01 00:00:00.000Z",
];

function bare(file: string, commits: number): () => Promise<void> {
  const db = new Database(join(directory, file), { create: true });
  db.run("PRAGMA journal_mode=WAL");
  db.run("PRAGMA synchronous=OFF");
  db.run(SCHEMA);
  const [begin, insert, commit] = ["BEGIN IMMEDIATE", INSERT, "COMMIT"].map((sql) => db.prepare(sql));
  return async () => {
    for (let i = 0; i < commits; i++) {
      begin?.run();
      insert?.run(...row());
      commit?.run();
    }
  };
}

function encoded(perCut: number): () => Promise<void> {
  const path = join(directory, `encoded-${perCut}.db`);
  const writer = openWriter(path);
  const epoch = 1 as Epoch;
  const capture = new DatabaseCapture(
    {
      tenant: TENANT,
      database: DATA_DB,
      epoch,
      path,
      clock: systemClock,
      txid: 0 as never,
      entryHash: "",
      timestampMs: 0,
    },
    writer,
  );
  writer.exec(SCHEMA);
  let seq = 0;
  return async () => {
    for (let i = 1; i <= COMMITS; i++) {
      writer.run("BEGIN IMMEDIATE");
      writer.run(INSERT, row());
      writer.run("COMMIT");
      capture.committed();
      if (i % perCut !== 0) continue;
      const cut = capture.cut(limits.logInlineEntryBytesMax);
      if (cut === undefined) throw new Error("nothing captured");
      const { ltx, position } = cut;
      encodeLogObject(
        {
          incarnation: 1 as Incarnation,
          seq: ++seq as LogSeq,
          nonce: "a".repeat(32),
          kind: "entries",
          lowWatermark: 0 as LogSeq,
        },
        [
          {
            kind: "data",
            tenant: TENANT,
            database: DATA_DB,
            epoch,
            txid: position.txid,
            entryHash: position.entryHash,
            ltx,
          },
        ],
      );
      capture.checkpoint(writer, "PASSIVE");
    }
  };
}

async function logged(perCut: number): Promise<() => Promise<void>> {
  const store = await openObjectStore(`file:${join(directory, `store-${perCut}`)}`, {});
  const incarnation = 1 as Incarnation;
  const host = createTenantHost({
    directory: join(directory, `tenants-${perCut}`),
    store,
    incarnation,
    nonce: "a".repeat(32),
    control: loneControl(incarnation),
    bootstrap: async (tenant) => {
      await tenant.data.write(tenant.observe(), (tx) => tx.exec(SCHEMA));
    },
  });
  const tenant = await host.acquire(TENANT, 1 as Epoch);
  return async () => {
    for (let i = 0; i < COMMITS / 10; i += perCut) {
      const seen = tenant.observe();
      for (let j = 0; j < perCut; j++) await tenant.data.write(seen, (tx) => tx.run(INSERT, row()));
      await seen.settled();
    }
  };
}

/** What a commit with one PUT to the same kind of store costs without any of ours. */
async function barePut(): Promise<() => Promise<void>> {
  const store = await openObjectStore(`file:${join(directory, "store-bare")}`, {});
  const commit = bare("bare-put.db", 1);
  const body = new Uint8Array(2_000);
  let count = 0;
  return async () => {
    for (let i = 0; i < COMMITS / 10; i++) {
      await commit();
      await store.putIfAbsent(`log/${++count}`, body);
    }
  };
}

/** Microseconds per commit, wall and CPU: the best round, so that a neighbour's work does not count. */
async function measure(
  name: string,
  run: () => Promise<void>,
  commits: number,
): Promise<{ name: string; wall: number; cpu: number }> {
  await run();
  let [wall, cpu] = [Infinity, Infinity];
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    const used = process.cpuUsage();
    await run();
    const { user, system } = process.cpuUsage(used);
    wall = Math.min(wall, ((performance.now() - started) * 1_000) / commits);
    cpu = Math.min(cpu, (user + system) / commits);
  }
  return { name, wall, cpu };
}

const results = [
  await measure("bare", bare("bare.db", COMMITS), COMMITS),
  await measure("bare and one PUT", await barePut(), COMMITS / 10),
  await measure("encoded, 1 per cut", encoded(1), COMMITS),
  await measure("encoded, 10 per cut", encoded(10), COMMITS),
  await measure("logged, 1 per cut", await logged(1), COMMITS / 10),
  await measure("logged, 10 per cut", await logged(10), COMMITS / 10),
];
const [base] = results;
for (const { name, wall, cpu } of results) {
  const ratio = (value: number, of: number): string => `${(value / of).toFixed(1)}x`;
  console.log(
    `${name.padEnd(22)} wall ${wall.toFixed(1).padStart(7)} µs ${ratio(wall, base?.wall ?? 1).padStart(6)}   ` +
      `cpu ${cpu.toFixed(1).padStart(7)} µs ${ratio(cpu, base?.cpu ?? 1).padStart(6)}`,
  );
}
rmSync(directory, { recursive: true, force: true });
process.exit(0);
