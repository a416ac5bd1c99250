import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemError, UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { type Connection, asSystemError } from "./connection.ts";
import { openReader, openWriter } from "./open.ts";
import { adoptDatabaseFile } from "./validate.ts";

let directory: string;
let path: string;
let writer: Connection;
let reader: Connection;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "sqlite-"));
  path = join(directory, "data.db");
  writer = openWriter(path, { functions: [{ name: "half", call: (value) => Number(value) / 2 }] });
  writer.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b BLOB)");
  reader = openReader(path);
});
afterEach(() => {
  reader.close();
  writer.close();
  rmSync(directory, { recursive: true, force: true });
});

const pragma = (connection: Connection, name: string): unknown => connection.values(`PRAGMA ${name}`)[0]?.[0];

describe("openWriter, openReader", () => {
  test("nobody checkpoints by itself; both wait when busy and keep temporary data in memory", () => {
    for (const connection of [writer, reader]) {
      expect(pragma(connection, "wal_autocheckpoint")).toBe(0);
      expect(pragma(connection, "journal_mode")).toBe("wal");
      expect(pragma(connection, "busy_timeout")).toBe(limits.sqliteBusyMs);
      expect(pragma(connection, "temp_store")).toBe(2);
      expect(pragma(connection, "cache_size")).toBe(-limits.pageCacheKibibytes);
    }
    expect(pragma(writer, "synchronous")).toBe(0);
    expect(pragma(writer, "foreign_keys")).toBe(1);
    expect(pragma(reader, "query_only")).toBe(1);
  });

  test("the WAL grows until we move it", () => {
    for (let i = 0; i < 1_500; i++) writer.run("INSERT INTO t (a) VALUES (?)", ["x".repeat(3_000)]);
    const { frames, done, busy } = writer.checkpoint("PASSIVE");
    expect(frames).toBeGreaterThan(1_500);
    expect([done, busy]).toEqual([frames, false]);
  });

  test("the reader sees the newest commit and cannot write", () => {
    writer.exec("BEGIN");
    writer.run("INSERT INTO t (a) VALUES ('x')");
    expect(reader.all("SELECT * FROM t")).toEqual([]);
    writer.exec("COMMIT");
    expect(reader.all("SELECT a FROM t")).toEqual([{ a: "x" }]);
    expect(() => reader.run("DELETE FROM t")).toThrow("readonly");
  });

  test("functions are on the connection that they were given to", () => {
    expect(writer.values("SELECT half(5)")).toEqual([[2.5]]);
    expect(() => reader.values("SELECT half(5)")).toThrow("no such function");
  });
});

describe("Connection", () => {
  test("gives rows as objects or arrays, and undefined for no row", () => {
    const blob = new Uint8Array([1, 2]);
    expect(writer.run("INSERT INTO t (a, b) VALUES (?, ?)", ["x", blob])).toEqual({
      changes: 1,
      lastInsertRowid: 1,
    });
    expect(writer.get("SELECT * FROM t WHERE id = ?", [1])).toEqual({ id: 1, a: "x", b: blob });
    expect(writer.get("SELECT * FROM t WHERE id = ?", [2])).toBeUndefined();
    expect(writer.values("SELECT id, a, a FROM t")).toEqual([[1, "x", "x"]]);
  });

  test("cached statements follow the schema", () => {
    writer.run("INSERT INTO t (a) VALUES ('x')");
    expect(reader.all("SELECT * FROM t")).toEqual([{ id: 1, a: "x", b: null }]);
    writer.exec("ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN c DEFAULT 7");
    expect(reader.all("SELECT * FROM t")).toEqual([{ id: 1, a: "x", c: 7 }]);
  });

  test("keeps no more statements than the limit", () => {
    for (let i = 0; i < limits.statementCacheMax * 2; i++)
      expect(writer.get(`SELECT ${i} AS n`)).toEqual({ n: i });
    expect(writer.get("SELECT 0 AS n")).toEqual({ n: 0 });
  });

  test("answers nothing after close", () => {
    reader.close();
    reader.close();
    expect(() => reader.get("SELECT 1")).toThrow("its tenant left this worker");
  });
});

test("asSystemError names a full disk and leaves constraint errors alone", () => {
  writer.exec("PRAGMA max_page_count=3");
  let full: unknown;
  try {
    for (let i = 0; i < 100; i++) writer.run("INSERT INTO t (a) VALUES (?)", ["x".repeat(3_000)]);
  } catch (error) {
    full = asSystemError(error, "write");
  }
  expect(full).toBeInstanceOf(SystemError);
  expect((full as SystemError).code).toBe("disk_full");
  const other = new Error("other");
  expect(asSystemError(other, "write")).toBe(other);
});

describe("adoptDatabaseFile", () => {
  test("folds a leftover journal in and makes the header say WAL", () => {
    const foreign = join(directory, "foreign.db");
    const db = new Database(foreign);
    db.run("CREATE TABLE x (a)");
    db.close();
    adoptDatabaseFile(foreign, "data.db");
    expect([...readFileSync(foreign).subarray(18, 20)]).toEqual([2, 2]);
    expect(existsSync(`${foreign}-wal`)).toBe(false);
  });

  test("refuses what is no database", () => {
    const foreign = join(directory, "foreign.db");
    writeFileSync(foreign, "x".repeat(5_000));
    expect(() => adoptDatabaseFile(foreign, "data.db")).toThrow(UserError);
    expect(() => adoptDatabaseFile(join(directory, "none.db"), "data.db")).toThrow(UserError);
  });
});
