import { afterAll, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mergeLtx } from "../../shared/ltx/merge.ts";
import { listGenerations, writeGeneration } from "../../scripts/manybase/litestream/generation.ts";
import { openImportSource } from "../../scripts/manybase/litestream/read-source.ts";
import { replicateByLitestream, restoreByLitestream } from "./litestream-v3.ts";
import { runSteps } from "./page-steps.ts";

const root = mkdtempSync(join(tmpdir(), "litestream-v3-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let directories = 0;
const fresh = (): string => {
  const path = join(root, String(directories++));
  mkdirSync(path);
  return path;
};

const rows = (count: number): string =>
  `INSERT INTO t (a) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count}) SELECT hex(randomblob(100)) || i FROM n`;
const STEPS = [
  `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE INDEX t_a ON t (a); ${rows(500)}`,
  rows(100),
  "DELETE FROM t WHERE id > 80; VACUUM",
  rows(60),
  "UPDATE t SET a = upper(a) WHERE id % 3 = 0",
];

const content = (path: string): unknown[] => {
  using db = new Database(path);
  expect(db.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
  return db.query("SELECT id, a FROM t ORDER BY id").values();
};

async function imported(replica: string, target: string): Promise<string> {
  const source = await openImportSource(replica, {});
  copyFileSync(source.databases[0]?.path ?? "", target);
  await source.close();
  return source.described.join("\n");
}

describe("Litestream 0.3 restores our export", () => {
  for (const pageSize of [512, 4096, 65_536]) {
    test(`whose newest commits are in segments of the WAL, byte for byte: ${pageSize} bytes a page`, async () => {
      const directory = fresh();
      const { files, database } = runSteps(join(directory, "source.db"), pageSize, STEPS, "WAL");
      const snapshot = Buffer.concat([...mergeLtx(files.slice(0, 2)).pages.values()]);
      const replica = join(directory, "replica");
      await writeGeneration(replica, snapshot, files.slice(2));
      const target = join(directory, "restored.db");
      expect(await restoreByLitestream(replica, target)).toContain("applied wal");
      expect(Buffer.compare(readFileSync(target), database)).toBe(0);
      expect(content(target)).toEqual(content(join(directory, "source.db")));
    });
  }

  test("that is one snapshot", async () => {
    const directory = fresh();
    const { database } = runSteps(join(directory, "source.db"), 4096, STEPS);
    await writeGeneration(join(directory, "replica"), database);
    await restoreByLitestream(join(directory, "replica"), join(directory, "restored.db"));
    expect(Buffer.compare(readFileSync(join(directory, "restored.db")), database)).toBe(0);
  });
});

describe("we import what Litestream 0.3 wrote", () => {
  test("a replica of several WALs, as it restores it itself; but not one with a hole", async () => {
    const directory = fresh();
    const path = join(directory, "source.db");
    const replica = join(directory, "replica");
    const db = new Database(path);
    db.run("PRAGMA journal_mode=WAL");
    db.run("PRAGMA busy_timeout=5000");
    db.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
    await replicateByLitestream(path, replica, async (synced) => {
      for (let i = 0; i < 8; i++) {
        await synced();
        db.run(rows(100));
      }
      await synced();
      db.run("UPDATE t SET a = 'last' WHERE id = 1");
    });
    const wanted = db.query("SELECT id, a FROM t ORDER BY id").values();
    db.close();
    const [generation] = await listGenerations(replica);
    expect(new Set(generation?.segments.map(({ index }) => index)).size).toBeGreaterThan(1);

    const [ours, theirs] = [join(directory, "ours.db"), join(directory, "theirs.db")];
    expect(await imported(replica, ours)).toContain(`generation ${generation?.name}`);
    await restoreByLitestream(replica, theirs);
    expect(Buffer.compare(readFileSync(ours), readFileSync(theirs))).toBe(0);
    expect(content(ours)).toEqual(wanted);

    const newest = generation?.segments.at(-1)?.index;
    const last = generation?.segments.filter(({ index }) => index === newest) ?? [];
    const hole =
      last.length > 2
        ? last[1]
        : generation?.segments.find((one, i, all) => i > 0 && all[i + 1]?.index === one.index);
    rmSync(hole?.path ?? "");
    await expect(openImportSource(replica, {})).rejects.toMatchObject({ code: "invalid_directory" });
  }, 30_000);
});
