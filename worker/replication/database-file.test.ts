import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Epoch, Txid } from "../../shared/ids.ts";
import type { LtxFile } from "../../shared/ltx/ltx.ts";
import { DatabaseFile } from "./database-file.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "database-file-"));
  path = join(directory, "data.db");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Pages filled with their values. */
function file(pageSize: number, commit: number, pages: Record<number, number>): LtxFile {
  const [minTxid, maxTxid, epoch] = [1 as Txid, 1 as Txid, 1 as Epoch];
  return {
    header: {
      pageSize,
      commit,
      minTxid,
      maxTxid,
      timestampMs: 1,
      epoch,
      walOffset: 0,
      walSize: 0,
      salt1: 0,
      salt2: 0,
    },
    pages: new Map(
      Object.entries(pages).map(([pgno, value]) => [Number(pgno), new Uint8Array(pageSize).fill(value)]),
    ),
  };
}

function built(...files: LtxFile[]): number[] {
  const target = new DatabaseFile(path);
  for (const one of files) target.apply(one);
  expect(existsSync(path)).toBe(false);
  target.finish();
  const bytes = readFileSync(path);
  const { pageSize } = (files.at(-1) as LtxFile).header;
  return Array.from({ length: bytes.length / pageSize }, (_, i) => bytes[i * pageSize] as number);
}

test("later pages win, and a database that shrank has no longer what it lost", () => {
  expect(built(file(512, 3, { 1: 1, 2: 2, 3: 3 }), file(512, 2, { 2: 4 }))).toEqual([1, 4]);
});

test("what a shrunk database lost does not come back when it grows", () => {
  expect(built(file(512, 3, { 1: 1, 2: 2, 3: 3 }), file(512, 1, {}), file(512, 4, { 4: 5 }))).toEqual([
    1, 0, 0, 5,
  ]);
});

test("another page size needs every page", () => {
  expect(built(file(512, 2, { 1: 1, 2: 2 }), file(1024, 1, { 1: 7 }))).toEqual([7]);
  expect(() => built(file(512, 2, { 1: 1, 2: 2 }), file(1024, 2, { 1: 7 }))).toThrow("its page size differs");
});

test("pages far apart, and more of them than are written at once", () => {
  const many = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [i + 1, i % 251]));
  const some = file(65_536, 40, { 3: 100, 4: 101, 20: 102 });
  expect(built(file(65_536, 40, many), some).slice(0, 22)).toEqual([
    ...[0, 1, 100, 101, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 102, 20, 21],
  ]);
});
