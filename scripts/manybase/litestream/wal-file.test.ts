import { afterAll, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  array,
  assert,
  integer,
  nat,
  property,
  record,
  tuple,
  uint8Array,
  uniqueArray,
  type Arbitrary,
} from "fast-check";
import { type WalCommit, WalDecoder, WalEncoder } from "./wal-file.ts";

const directory = mkdtempSync(join(tmpdir(), "wal-file-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const PAGE = 512;
const transactions = array(
  record({
    commit: integer({ min: 1, max: 0xffff_ffff }),
    pages: uniqueArray(
      record({
        pgno: integer({ min: 1, max: 1_000 }),
        data: uint8Array({ minLength: PAGE, maxLength: PAGE }),
      }),
      { selector: ({ pgno }) => pgno, minLength: 1, maxLength: 4 },
    ),
  }),
  { minLength: 1, maxLength: 4 },
);
const salts = tuple(nat({ max: 0xffff_ffff }), nat({ max: 0xffff_ffff }));

type Transactions = typeof transactions extends Arbitrary<infer T> ? T : never;

function encode(all: Transactions, salt: [number, number]): Uint8Array {
  const wal = new WalEncoder(PAGE, salt);
  return Buffer.concat([wal.header(), ...all.map(({ pages, commit }) => wal.transaction(pages, commit))]);
}

function decode(pieces: readonly Uint8Array[]): WalCommit[] {
  const wal = new WalDecoder("this");
  const commits = pieces.flatMap((piece) => wal.push(piece));
  wal.end();
  return commits;
}

describe("a WAL", () => {
  test("comes back as it was, in whatever pieces it comes", () => {
    assert(
      property(transactions, salts, integer({ min: 1, max: 3_000 }), (all, salt, size) => {
        const bytes = encode(all, salt);
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
        expect(decode(pieces)).toEqual(
          all.map(({ commit, pages }) => ({ commit, pages: new Map(pages.map((p) => [p.pgno, p.data])) })),
        );
      }),
    );
  });

  test("with any byte changed, or any end that is not a transaction's, is refused", () => {
    assert(
      property(transactions, salts, nat(), integer({ min: 1, max: 255 }), (all, salt, at, flip) => {
        const bytes = encode(all, salt);
        const changed = bytes.slice();
        changed[at % bytes.length] = (changed[at % bytes.length] ?? 0) ^ flip;
        expect(() => decode([changed])).toThrow("Cannot import this");
        const ends = [32];
        for (const { pages } of all) ends.push((ends.at(-1) ?? 0) + pages.length * (PAGE + 24));
        const cut = at % bytes.length;
        if (!ends.includes(cut)) expect(() => decode([bytes.subarray(0, cut)])).toThrow("Cannot import this");
      }),
    );
  });

  test("of SQLite is read, and one of ours is read by SQLite", () => {
    const path = join(directory, "source.db");
    const db = new Database(path);
    db.run("PRAGMA page_size=1024");
    db.run("PRAGMA journal_mode=WAL");
    db.run("PRAGMA wal_autocheckpoint=0");
    db.run("CREATE TABLE t (x TEXT)");
    db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    const before = readFileSync(path);
    for (const text of ["one", "two", "three"])
      db.run(`INSERT INTO t VALUES ('${text}' || hex(randomblob(900)))`);
    const original = readFileSync(`${path}-wal`);
    const commits = decode([original]);
    expect(commits).toHaveLength(3);
    const rows = db.query("SELECT * FROM t").values();
    db.close();

    const again = new WalEncoder(1024, [7, 8]);
    const target = join(directory, "target.db");
    writeFileSync(target, before);
    writeFileSync(
      `${target}-wal`,
      Buffer.concat([
        again.header(),
        ...commits.map(({ commit, pages }) =>
          again.transaction(
            [...pages].map(([pgno, data]) => ({ pgno, data })),
            commit,
          ),
        ),
      ]),
    );
    using copy = new Database(target);
    expect(copy.query("SELECT * FROM t").values()).toEqual(rows);
  });
});
