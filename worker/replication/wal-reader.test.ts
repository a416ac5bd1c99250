import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Connection } from "../sqlite/connection.ts";
import { openReader, openWriter } from "../sqlite/open.ts";
import { WalReader } from "./wal-reader.ts";

let directory: string;
let path: string;
let writer: Connection;
let reader: WalReader;
/** What the reader's changes add up to. */
let mirror: Map<number, Uint8Array>;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "wal-reader-"));
  path = join(directory, "data.db");
  writer = openWriter(path);
  reader = new WalReader(path);
  mirror = new Map();
  const image = writer.image();
  for (let at = 0; at < image.length; at += 4096) mirror.set(at / 4096 + 1, image.slice(at, at + 4096));
  writer.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)");
});
afterEach(() => {
  reader.close();
  writer.close();
  rmSync(directory, { recursive: true, force: true });
});

function capture(): number {
  const changes = reader.read();
  if (changes === undefined) return 0;
  let pages = 0;
  for (const { pgno, data } of changes.pages) {
    mirror.set(pgno, data.slice());
    pages++;
  }
  for (const pgno of mirror.keys()) if (pgno > changes.commit) mirror.delete(pgno);
  return pages;
}

function expectMirror(): void {
  const committed = openReader(path);
  const image = committed.image();
  committed.close();
  expect(mirror.size).toBe(image.length / 4096);
  for (const [pgno, data] of mirror) {
    expect(Buffer.compare(data, image.subarray((pgno - 1) * 4096, pgno * 4096))).toBe(0);
  }
}

function insert(bytes: number, rows = 1): void {
  for (let i = 0; i < rows; i++) writer.run("INSERT INTO t (body) VALUES (randomblob(?))", [bytes]);
}

function lost(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof SystemError && error.code === "wal_lost") return error.message;
    throw error;
  }
  throw new Error("expected wal_lost");
}

describe("WalReader.read", () => {
  test("gives the newest version of each page of all commits since the last call", () => {
    insert(100, 5);
    expect(capture()).toBeGreaterThan(0);
    expectMirror();
    expect(capture()).toBe(0);
    insert(5_000);
    capture();
    expectMirror();
  });

  test("leaves the frames of an open transaction for later, also when they spilled into the file", () => {
    insert(10);
    capture();
    writer.exec("PRAGMA cache_size=2");
    writer.exec("BEGIN");
    insert(4_000, 50);
    expect(readFileSync(`${path}-wal`).length).toBeGreaterThan(50 * 4096);
    expect(capture()).toBe(0);
    expectMirror();
    writer.exec("COMMIT");
    expect(capture()).toBeGreaterThan(50);
    expectMirror();
  });

  test("ignores what a rolled back transaction spilled", () => {
    writer.exec("PRAGMA cache_size=2");
    writer.exec("BEGIN");
    insert(4_000, 50);
    writer.exec("ROLLBACK");
    capture();
    expectMirror();
    insert(20);
    capture();
    expectMirror();
  });

  test("reads transactions larger than its buffer", () => {
    writer.exec("BEGIN");
    insert(60_000, 100);
    writer.exec("COMMIT");
    insert(10);
    capture();
    expectMirror();
  });

  for (const mode of ["PASSIVE", "TRUNCATE"] as const) {
    test(`follows the WAL's new start after our ${mode} checkpoint`, () => {
      for (let round = 0; round < 5; round++) {
        insert(3_000, 20);
        capture();
        const { frames, done } = writer.checkpoint(mode);
        expect(done).toBe(frames);
        reader.checkpointed(mode === "TRUNCATE");
        expect(reader.frames).toBe(mode === "TRUNCATE" ? 0 : frames);
        insert(30);
        capture();
        expectMirror();
      }
    });
  }

  test("follows deletes and VACUUM, which shrink the database", () => {
    insert(3_000, 100);
    capture();
    writer.exec("DELETE FROM t WHERE id > 5");
    writer.exec("VACUUM");
    capture();
    expectMirror();
    insert(3_000, 50);
    capture();
    expectMirror();
  });

  test("stops when somebody else's checkpoint let the WAL start again over frames that were not read", () => {
    insert(10, 3);
    reader.committed();
    const other = new Database(path);
    other.run("PRAGMA wal_checkpoint(TRUNCATE)");
    other.close();
    expect(lost(() => reader.read())).toContain("emptied");
    insert(10);
    expect(lost(() => reader.read())).not.toBe("");
  });

  test("stops when that happens to the first commit after our own checkpoint", () => {
    insert(10, 3);
    capture();
    writer.checkpoint("PASSIVE");
    reader.checkpointed(false);
    insert(10);
    reader.committed();
    writer.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    expect(lost(() => reader.read())).toContain("emptied");
  });

  test("a commit that changes nothing is no loss", () => {
    for (let round = 0; round < 2; round++) {
      insert(10);
      capture();
      writer.checkpoint("PASSIVE");
      reader.checkpointed(false);
      writer.exec("BEGIN IMMEDIATE; UPDATE t SET body = body WHERE id < 0; COMMIT");
      reader.committed();
      expect(capture()).toBe(0);
    }
    expectMirror();
  });

  test("stops when the WAL started again although all was read, but not by us", () => {
    insert(10, 3);
    capture();
    writer.exec("PRAGMA wal_checkpoint(PASSIVE)");
    insert(10);
    expect(lost(() => reader.read())).toContain("another checkpoint");
  });

  test("stops when it started again while frames that were not read are still whole behind the new ones", () => {
    insert(100);
    capture();
    insert(20_000);
    reader.committed();
    writer.exec("PRAGMA wal_checkpoint(PASSIVE)");
    insert(100);
    reader.committed();
    expect(lost(() => reader.read())).toContain("another checkpoint");
  });

  test("stops when the file was deleted", () => {
    insert(10);
    capture();
    rmSync(`${path}-wal`);
    insert(10);
    expect(lost(() => reader.read())).toContain("deleted");
  });
});

test("unreadBytes does not count what an earlier generation left in the file", () => {
  insert(3_000, 100);
  capture();
  writer.checkpoint("PASSIVE");
  reader.checkpointed(false);
  insert(10);
  reader.committed();
  expect(reader.unreadBytes(0)).toBe(4120);
  expect(reader.unreadBytes(10_000_000)).toBeGreaterThan(100 * 4120);
  insert(3_000, 4);
  expect(reader.unreadBytes(0)).toBeGreaterThan(5 * 4120);
  expect(reader.unreadBytes(0)).toBeLessThan(20 * 4120);
  capture();
  expect(reader.unreadBytes(0)).toBe(0);
});

test("unreadBytes counts a page once, however often it was written, and what is not committed", () => {
  insert(10);
  capture();
  for (let count = 0; count < 3; count++) {
    for (let i = 0; i < 20; i++) writer.run("UPDATE t SET body = ?", [`${count} ${i}`]);
    expect(reader.unreadBytes(0)).toBe(4120);
  }
  writer.run("BEGIN");
  writer.run("UPDATE t SET body = 'open'");
  insert(3_000, 2_000);
  expect(reader.unreadBytes(0)).toBeGreaterThan(1_000 * 4120);
  writer.run("ROLLBACK");
  // They take the place of what was rolled back.
  insert(3_000, 40);
  expect(reader.unreadBytes(0)).toBeGreaterThan(39 * 4120);
  expect(reader.unreadBytes(0)).toBeLessThan(60 * 4120);
  expect(capture()).toBeGreaterThan(39);
});

test("unreadBytes looks at few frames in a turn, and counts the others in full", () => {
  insert(10);
  capture();
  for (let count = 0; count < limits.asyncLagFrames + 10; count++)
    writer.run("UPDATE t SET body = body || 'x'");
  expect(reader.unreadBytes(0)).toBe(11 * 4120);
  expect(reader.unreadBytes(0)).toBe(4120);
});
