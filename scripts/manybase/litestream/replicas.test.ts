import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeLtx } from "../../../shared/ltx/encode.ts";
import { type LtxFile, ltxPages } from "../../../shared/ltx/ltx.ts";
import { mergeLtx } from "../../../shared/ltx/merge.ts";
import { runSteps } from "../../../test/oracles/page-steps.ts";
import { writeGeneration } from "./generation.ts";
import { writeLtxTree } from "./ltx-tree.ts";
import { openImportSource } from "./read-source.ts";

const root = mkdtempSync(join(tmpdir(), "replicas-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const insert = (n: number): string =>
  `INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${n}) SELECT hex(randomblob(200)) FROM n`;
const STEPS = [
  "CREATE TABLE t (x TEXT)",
  insert(50),
  insert(50),
  "DELETE FROM t WHERE rowid > 20; VACUUM",
  insert(30),
  insert(5),
];
let files: LtxFile[];
let database: Uint8Array;
let state: Uint8Array[];
beforeAll(() => {
  ({ files, database } = runSteps(join(root, "source.db"), 1024, STEPS, "WAL"));
  // The database after each step.
  state = files.map((_, i) => Buffer.concat([...mergeLtx(files.slice(0, i + 1)).pages.values()]));
});

let directories = 0;
function fresh(): string {
  const path = join(root, String(directories++));
  mkdirSync(path);
  return path;
}

async function imported(
  directory: string,
  options = {},
): Promise<{ bytes: Uint8Array; described: string[] }> {
  const source = await openImportSource(directory, options);
  const path = source.databases.find(({ name }) => name === "data.db")?.path ?? "";
  const bytes = readFileSync(path);
  await source.close();
  expect(existsSync(path) && !path.startsWith(directory)).toBe(false);
  return { bytes, described: source.described };
}

const refused = (directory: string, options = {}): Promise<string> =>
  openImportSource(directory, options).then(
    () => "imported",
    (error: { code: string; message: string }) => {
      expect(error.code).toMatch(/^(?:invalid_directory|not_found)$/);
      return error.message;
    },
  );

describe("a replica of Litestream 0.3", () => {
  const tree = async (
    directory = fresh(),
  ): Promise<{ directory: string; wal: string; generation: string }> => {
    const generation = await writeGeneration(directory, state[1] ?? new Uint8Array(), files.slice(2));
    return { directory, generation, wal: join(directory, "generations", generation, "wal") };
  };

  test("gives the database after the last transaction of its WAL", async () => {
    const { directory, generation } = await tree();
    const { bytes, described } = await imported(directory);
    expect(Buffer.compare(bytes, database)).toBe(0);
    expect(described[0]).toContain(
      `generation ${generation}, a snapshot and 4 transactions in 4 WAL segments`,
    );
  });

  test("with a segment missing is refused, first, middle, or a whole index", async () => {
    for (const missing of [0, 1, 2]) {
      const { directory, wal } = await tree();
      rmSync(join(wal, readdirSync(wal).toSorted()[missing] ?? ""));
      expect(await refused(directory)).toMatch(/lacks the segment at offset/);
    }
    const { directory, wal } = await tree();
    for (const name of readdirSync(wal))
      renameSync(join(wal, name), join(wal, name.replace(/^00000000/, "00000001")));
    expect(await refused(directory)).toContain("the WAL of index 0 is missing");
  });

  test("with a damaged, shortened or foreign segment is refused", async () => {
    for (const damage of [
      (path: string) => truncateSync(path, 40),
      (path: string) => writeFileSync(path, ""),
      (path: string) => truncateSync(path, statSync(path).size - 8),
      (path: string) => writeFileSync(path, "no frame at all"),
      (path: string) => {
        const bytes = readFileSync(path);
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0x10;
        writeFileSync(path, bytes);
      },
    ]) {
      const { directory, wal } = await tree();
      damage(join(wal, readdirSync(wal).toSorted()[3] ?? ""));
      expect(await refused(directory)).toContain("Cannot import");
    }
    const [one, other] = [await tree(), await tree()];
    const [, name = ""] = readdirSync(one.wal).toSorted();
    cpSync(join(other.wal, name), join(one.wal, name));
    expect(await refused(one.directory)).toContain("a frame belongs to another WAL");
  });

  test("is read from its newest generation, or from the one that is named", async () => {
    const { directory, generation } = await tree();
    const older = await writeGeneration(directory, state[0] ?? new Uint8Array());
    const snapshot = join(directory, "generations", older, "snapshots", "00000000.snapshot.lz4");
    utimesSync(snapshot, new Date(2020, 1), new Date(2020, 1));
    const { described } = await imported(directory);
    expect(described[0]).toContain(`generation ${generation}`);
    expect(described[0]).toEndWith(`; others: ${older}`);
    expect(
      Buffer.compare((await imported(directory, { generation: older })).bytes, state[0] ?? new Uint8Array()),
    ).toBe(0);
    expect(await refused(directory, { generation: "0".repeat(16) })).toContain("there is none of that name");
    rmSync(snapshot);
    expect(await refused(directory, { generation: older })).toContain("it has no snapshot");
  });
});

describe("a replica of Litestream 0.5", () => {
  const encode = (from: number, to: number): Uint8Array => {
    const { header, pages } = mergeLtx(files.slice(from - 1, to));
    return encodeLtx(header, ltxPages(pages));
  };
  const tree = async (): Promise<string> => {
    const directory = fresh();
    await writeLtxTree(directory, [
      { level: 9, ltx: encode(1, 2) },
      { level: 2, ltx: encode(3, 4) },
      { level: 1, ltx: encode(4, 5) },
      { level: 0, ltx: encode(5, 5) },
      { level: 0, ltx: encode(6, 6) },
    ]);
    return directory;
  };
  /** The names of the S3 client. */
  const renamed = (directory: string): void => {
    for (const level of readdirSync(join(directory, "ltx"))) {
      renameSync(join(directory, "ltx", level), join(directory, level.padStart(4, "0")));
    }
    rmSync(join(directory, "ltx"), { recursive: true });
  };

  test("gives the database, in the names of either client, and per database", async () => {
    const directory = await tree();
    const { bytes, described } = await imported(directory);
    expect(Buffer.compare(bytes, database)).toBe(0);
    expect(described).toEqual(["data.db: Litestream 0.5, 4 LTX files up to TXID 6"]);
    renamed(directory);
    expect(Buffer.compare((await imported(directory)).bytes, database)).toBe(0);
    const whole = fresh();
    cpSync(directory, join(whole, "data.db"), { recursive: true });
    cpSync(directory, join(whole, "auxiliary.db"), { recursive: true });
    expect((await imported(whole)).described).toHaveLength(2);
  });

  test("with a hole, no snapshot, damage or a wrong name is refused", async () => {
    const of = (directory: string, level: number): string => {
      const [name = ""] = readdirSync(join(directory, "ltx", String(level)));
      return join(directory, "ltx", String(level), name);
    };
    let directory = await tree();
    rmSync(of(directory, 1));
    rmSync(of(directory, 0));
    expect(await refused(directory)).toContain("TXIDs 5 to 5 are missing");
    directory = await tree();
    rmSync(of(directory, 9));
    expect(await refused(directory)).toContain("Cannot import");
    directory = await tree();
    const bytes = readFileSync(of(directory, 2));
    bytes[200] = (bytes[200] ?? 0) ^ 1;
    writeFileSync(of(directory, 2), bytes);
    expect(await refused(directory)).toContain("Cannot read LTX file");
    directory = await tree();
    writeFileSync(of(directory, 2), encode(3, 3));
    expect(await refused(directory)).toContain("it holds TXIDs 3 to 3");
  });
});

describe("openImportSource", () => {
  test("takes uploads from beside the database or from where it is told", async () => {
    const directory = fresh();
    await writeLtxTree(join(directory, "data.db"), [
      { level: 9, ltx: encodeLtx(mergeLtx(files).header, ltxPages(mergeLtx(files).pages)) },
    ]);
    mkdirSync(join(directory, "storage"));
    const source = await openImportSource(directory, {});
    expect(source.storage).toBe(join(directory, "storage"));
    await source.close();
    const elsewhere = await openImportSource(join(directory, "data.db"), {
      storage: `${directory}/storage/`,
    });
    expect(elsewhere.storage).toBe(join(directory, "storage"));
    await elsewhere.close();
    expect(await refused(directory, { storage: join(directory, "none") })).toContain("it is no directory");
  });

  test("refuses what is neither a data directory nor a replica, and leaves nothing behind", async () => {
    const left = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith("manybase-import-"));
    const before = left().length;
    const empty = fresh();
    expect(await refused(empty)).toContain("it is no replica");
    mkdirSync(join(empty, "data.db"));
    expect(await refused(empty)).toContain("it is no replica");
    mkdirSync(join(empty, "data.db", "generations"));
    expect(await refused(empty)).toContain("it has no generations");
    expect(left().length).toBe(before);
  });
});
