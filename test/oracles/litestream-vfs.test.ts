import { afterAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compressSync, uncompressSync } from "lz4-napi";
import { decodeLtx } from "../../shared/ltx/decode.ts";
import { encodeLtx } from "../../shared/ltx/encode.ts";
import { type LtxFile, type Lz4, completePages, ltxPages } from "../../shared/ltx/ltx.ts";
import { mergeLtx } from "../../shared/ltx/merge.ts";
import { hydrate, writeByLitestream } from "./litestream-vfs.ts";
import { runSteps } from "./page-steps.ts";
import { writeLtxTree } from "../../scripts/manybase/litestream/ltx-tree.ts";

const root = await mkdtemp(join(tmpdir(), "manybase-litestream-"));
afterAll(() => rm(root, { recursive: true, force: true }));
let directories = 0;
const newDirectory = async (): Promise<string> => {
  const directory = join(root, String(directories++));
  await mkdir(directory);
  return directory;
};

const rows = (count: number, text: string): string =>
  `INSERT INTO t (a, b) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
   SELECT ${text}, hex(randomblob(40)) FROM n`;
const STEPS = [
  `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT); CREATE INDEX t_b ON t (b); ${rows(4_000, "'first ' || i")}`,
  rows(500, "'second ' || i"),
  "UPDATE t SET a = 'changed' WHERE id % 97 = 0",
  "DELETE FROM t WHERE id > 300; VACUUM",
  rows(800, "'after the vacuum ' || i"),
  "CREATE TABLE u AS SELECT * FROM t; DROP TABLE u",
  "UPDATE t SET b = upper(b)",
  "DELETE FROM t WHERE id % 2 = 0",
];

/** The layout of a tenant after some hours: a snapshot, and the rest once at each level, from coarse to fine. */
function levels(files: readonly LtxFile[], lz4?: Lz4): { level: number; ltx: Uint8Array }[] {
  const options = lz4 === undefined ? {} : { lz4 };
  const encode = (level: number, from: number, to: number) => {
    const { header, pages } = mergeLtx(files.slice(from - 1, to));
    return { level, ltx: encodeLtx(header, ltxPages(pages), options) };
  };
  return [encode(9, 1, 2), encode(3, 3, 4), encode(2, 5, 6), encode(1, 7, 7), encode(1, 8, 8)];
}

const native: Lz4 = {
  compressBlock: (source) => compressSync(source as Buffer).subarray(4),
  decompressBlock: (source, size) => {
    const prefixed = new Uint8Array(source.length + 4);
    new DataView(prefixed.buffer).setUint32(0, size, true);
    prefixed.set(source, 4);
    return uncompressSync(prefixed);
  },
};

describe("stock Litestream reads our files", () => {
  for (const [pageSize, lz4] of [[512], [4_096], [4_096, native], [65_536]] as const) {
    const name = `${pageSize} bytes a page${lz4 === undefined ? "" : ", native LZ4"}`;
    test(`levels 9 and 1 to 3 give the database byte for byte: ${name}`, async () => {
      const directory = await newDirectory();
      const { files, database } = runSteps(join(directory, "source.db"), pageSize, STEPS);
      expect(files[3]?.header.commit).toBeLessThan(files[2]?.header.commit ?? 0);
      await writeLtxTree(join(directory, "tree"), levels(files, lz4));
      const found = await hydrate(
        join(directory, "tree"),
        join(directory, "hydrated.db"),
        "SELECT count(*) AS n FROM t",
      );
      expect(found).toEqual(['{"n":550}']);
      const hydrated = await readFile(join(directory, "hydrated.db"));
      expect(hydrated.length).toBe(database.length);
      expect(hydrated.equals(database)).toBe(true);
    }, 40_000);
  }

  test("a tree of single flushes, and a snapshot of the whole, give the same database", async () => {
    const directory = await newDirectory();
    const { files, database } = runSteps(join(directory, "source.db"), 4_096, STEPS);
    const first = files[0] as LtxFile;
    const { pageSize, commit } = first.header;
    const flushes = [{ ...first, pages: completePages(first.pages, pageSize, commit) }, ...files.slice(1)];
    await writeLtxTree(
      join(directory, "flushes"),
      flushes.map(({ header, pages }) => ({ level: 0, ltx: encodeLtx(header, ltxPages(pages)) })),
    );
    const whole = mergeLtx(files);
    await writeLtxTree(join(directory, "snapshot"), [
      { level: 9, ltx: encodeLtx(whole.header, ltxPages(whole.pages)) },
    ]);
    for (const tree of ["flushes", "snapshot"]) {
      await hydrate(join(directory, tree), join(directory, `${tree}.db`));
      expect((await readFile(join(directory, `${tree}.db`))).equals(database)).toBe(true);
    }
  }, 40_000);
});

describe("we read stock Litestream's files", () => {
  test("its own LTX files decode and merge to the database that it hydrates", async () => {
    const directory = await newDirectory();
    const tree = join(directory, "tree");
    await mkdir(tree);
    await writeByLitestream(tree, join(directory, "buffer"), [
      "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)",
      rows(2_000, "'written by Litestream ' || i"),
      "UPDATE t SET a = 'changed' WHERE id % 7 = 0",
      "DELETE FROM t WHERE id > 100",
    ]);
    const names = (await readdir(join(tree, "ltx", "0"))).sort();
    expect(names.length).toBeGreaterThanOrEqual(4);
    const files: LtxFile[] = [];
    for (const name of names) {
      const bytes = await readFile(join(tree, "ltx", "0", name));
      const file = decodeLtx(bytes);
      expect(decodeLtx(encodeLtx(file.header, ltxPages(file.pages)))).toEqual(file);
      files.push(file);
    }
    const { header, pages } = mergeLtx(files);
    await hydrate(tree, join(directory, "hydrated.db"));
    expect(Buffer.concat([...pages.values()]).equals(await readFile(join(directory, "hydrated.db")))).toBe(
      true,
    );
    expect(header.maxTxid as number).toBe(names.length);
  }, 60_000);
});
