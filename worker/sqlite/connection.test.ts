import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openReader, openWriter } from "./open.ts";
import { TransactionLostError } from "./raw.ts";
import { columnsOfFile, snapshotDatabase } from "./snapshot.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "connection-"));
  path = join(directory, "x.db");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const BOUNDS = { rowsMax: 10, bytesMax: 1_000, deadlineMs: Number.POSITIVE_INFINITY };

test("checkpoint waits for no reader: a long one in another thread must not hold up this one", () => {
  const writer = openWriter(path);
  writer.exec("CREATE TABLE t (a)");
  const reader = openReader(path);
  reader.exec("BEGIN");
  reader.values("SELECT * FROM t");
  writer.exec("INSERT INTO t VALUES (1)");
  const startMs = performance.now();
  expect(writer.checkpoint("TRUNCATE").busy).toBe(true);
  expect(performance.now() - startMs).toBeLessThan(8_000);
  expect(writer.values("PRAGMA busy_timeout")).toEqual([[10_000]]);
  reader.exec("COMMIT");
  expect(writer.checkpoint("TRUNCATE").busy).toBe(false);
  reader.close();
  writer.close();
});

test("raw keeps types, cuts at its bounds, and tells when SQLite ended the transaction", () => {
  const writer = openWriter(path);
  writer.exec("CREATE TABLE t (a INTEGER UNIQUE, b REAL)");
  const inserted = writer.raw("INSERT INTO t VALUES (?, ?), (9007199254740993, 2.0)", [1n, 1.5], BOUNDS);
  expect(inserted).toMatchObject({ columns: [], rows: [], cut: undefined, changes: 2, lastInsertRowid: 2n });
  expect(writer.raw("SELECT a, b, a FROM t", [], BOUNDS)).toMatchObject({
    columns: [
      { name: "a", declaredType: "INTEGER" },
      { name: "b", declaredType: "REAL" },
      { name: "a", declaredType: "INTEGER" },
    ],
    rows: [
      [1n, 1.5, 1n],
      [9007199254740993n, 2, 9007199254740993n],
    ],
  });
  const many = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x";
  expect(writer.raw(`${many} FROM n`, [], BOUNDS)).toMatchObject({ cut: "rows" });
  expect(writer.raw(`${many}, x FROM n`, [], BOUNDS)).toMatchObject({ cut: "rows" });
  expect(writer.raw(`${many}, printf('%.600c', 'x') FROM n`, [], BOUNDS)).toMatchObject({ cut: "bytes" });
  expect(writer.raw(`${many} FROM n`, [], { ...BOUNDS, deadlineMs: 0 })).toMatchObject({
    cut: "time",
    rows: [],
  });
  writer.exec("BEGIN IMMEDIATE");
  expect(() => writer.raw("INSERT OR ROLLBACK INTO t VALUES (1, 1)", [], BOUNDS)).toThrow(
    TransactionLostError,
  );
  expect(writer.inTransaction).toBe(false);
  writer.close();
});

test("snapshotDatabase copies the newest commit beside an open transaction", async () => {
  const writer = openWriter(path);
  writer.exec("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
  writer.exec("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)");
  const copy = join(directory, "copy.db");
  await snapshotDatabase({ from: path, to: copy }, new AbortController().signal);
  writer.exec("COMMIT");
  const copied = openWriter(copy);
  expect(copied.values("SELECT a FROM t")).toEqual([[1]]);
  copied.close();
  expect(columnsOfFile(copy, "t")).toEqual(["a"]);
  expect(existsSync(`${path}-wal`)).toBe(true);
  const missing = snapshotDatabase(
    { from: join(directory, "none.db"), to: copy },
    new AbortController().signal,
  );
  expect(await missing.catch((error: unknown) => String(error))).toContain("Cannot take a snapshot");
  writer.close();
});
