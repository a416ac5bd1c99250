import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pack } from "tar-stream";
import type { ImportReport } from "../../shared/protocol/cp.ts";
import { type TestApi, startTestApi } from "../app-testing.ts";
import { copyDatabase } from "../tenant/copy.ts";
import { importTenant } from "./import-tenant.ts";

let api: TestApi;
const root = mkdtempSync(join(tmpdir(), "import-test-"));
/** A data.db as PocketBase 0.39 has it. */
const template = join(root, "data.db");
let directory: string;
let directories = 0;

beforeAll(async () => {
  api = await startTestApi();
  const signal = AbortSignal.timeout(10_000);
  await copyDatabase(api.tenant, api.tenant.observe(), "data.db" as never, root, { signal });
});
afterAll(async () => {
  await api.close();
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  directory = join(root, String(directories++));
  mkdirSync(directory);
});

/** The template in `directory`, with a row in `marks`. */
function source(pragmas: readonly string[], text: string): { path: string; db: Database } {
  const path = join(directory, "data.db");
  copyFileSync(template, path);
  const db = new Database(path);
  for (const pragma of pragmas) db.run(`PRAGMA ${pragma}`);
  db.run("CREATE TABLE marks (text TEXT)");
  db.run("INSERT INTO marks VALUES (?)", [text]);
  return { path, db };
}

/** Sends what is in `directory` as a tar. */
async function imported(): Promise<ImportReport> {
  const tar = pack();
  for (const name of readdirSync(directory)) tar.entry({ name }, readFileSync(join(directory, name)));
  tar.finalize();
  const body = Readable.toWeb(Readable.from(tar)) as unknown as ReadableStream<Uint8Array>;
  const request = new Request("http://acme.localhost/_manybase/import", { method: "POST", body });
  const { tenant } = api;
  const seen = tenant.observe();
  const report = await importTenant({
    request,
    tenant,
    seen,
    clientIp: "127.0.0.1",
    origin: "http://acme.localhost",
    requestId: "test",
  });
  await seen.settled();
  return report;
}

const marks = (): unknown[] =>
  api.tenant.data.read(api.tenant.observe(), (db) => db.values("SELECT text FROM marks")).flat();

describe("an import takes a data.db", () => {
  for (const pageSize of [1024, 8192]) {
    test(`with pages of ${pageSize} bytes`, async () => {
      const { db } = source([`page_size=${pageSize}`, "journal_mode=DELETE"], `pages of ${pageSize}`);
      db.run("VACUUM");
      expect(db.query("PRAGMA page_size").values()).toEqual([[pageSize]]);
      db.close();
      expect((await imported()).collections).toBeGreaterThan(0);
      expect(marks()).toEqual([`pages of ${pageSize}`]);
    });
  }

  test("with its newest commits in a -wal beside it", async () => {
    const { db, path } = source(["journal_mode=WAL", "wal_autocheckpoint=0"], "in the WAL");
    expect(existsSync(`${path}-wal`)).toBe(true);
    await imported();
    db.close();
    expect(marks()).toEqual(["in the WAL"]);
  });

  test("with a journal that takes back what was not committed", async () => {
    const { db, path } = source(["journal_mode=DELETE", "cache_size=1", "cache_spill=1"], "kept");
    // So many pages that SQLite writes some into the database before the commit, and the journal is hot.
    db.run("BEGIN");
    for (let i = 0; i < 500; i++) db.run("INSERT INTO marks VALUES (hex(randomblob(2000)))");
    const crashed = join(root, `crashed-${directories}`);
    mkdirSync(crashed);
    for (const name of ["data.db", "data.db-journal"])
      copyFileSync(join(directory, name), join(crashed, name));
    db.run("ROLLBACK");
    db.close();
    rmSync(path);
    using dirty = new Database(join(crashed, "data.db"), { readonly: true });
    expect(() => dirty.query("SELECT * FROM marks").values()).toThrow();
    dirty.close();
    directory = crashed;
    await imported();
    expect(marks()).toEqual(["kept"]);
  });
});

describe("an import refuses, and keeps what was there,", () => {
  beforeAll(async () => {
    directory = join(root, "before");
    mkdirSync(directory);
    source([], "before").db.close();
    await imported();
  });

  const cases: [string, () => void, RegExp, RegExp][] = [
    [
      "what is no SQLite file",
      () => writeFileSync(join(directory, "data.db"), crypto.getRandomValues(new Uint8Array(8192))),
      /^Cannot import data\.db: it is not a SQLite database$/,
      /encrypted/,
    ],
    [
      "an empty file",
      () => writeFileSync(join(directory, "data.db"), ""),
      /it is not a SQLite database/,
      /copy it again/,
    ],
    [
      "a damaged one",
      () => {
        const { path, db } = source(["journal_mode=DELETE"], "lost");
        db.run("BEGIN");
        for (let i = 0; i < 200; i++) db.run("INSERT INTO marks VALUES (hex(randomblob(2000)))");
        db.run("COMMIT");
        db.close();
        const bytes = readFileSync(path);
        bytes.fill(0xff, bytes.length - 4096 * 20);
        writeFileSync(path, bytes);
      },
      /Cannot import data\.db: /,
      /Copy the database again|Copy it again/,
    ],
    [
      "a SQLite file of something else",
      () => {
        using db = new Database(join(directory, "data.db"));
        db.run("CREATE TABLE notes (text TEXT)");
      },
      /it has no table _collections/,
      /pb_data directory of a PocketBase/,
    ],
    [
      "data of PocketBase before 0.23",
      () => {
        using db = new Database(join(directory, "data.db"));
        db.run("CREATE TABLE _collections (id TEXT PRIMARY KEY, name TEXT, schema JSON)");
      },
      /it is of PocketBase before 0\.23/,
      /Start a PocketBase of 0\.23 or later on a copy/,
    ],
  ];
  for (const [name, make, message, hint] of cases) {
    test(name, async () => {
      make();
      await expect(imported()).rejects.toMatchObject({
        code: "invalid_import",
        message: expect.stringMatching(message) as string,
        hint: expect.stringMatching(hint) as string,
      });
      expect(marks()).toEqual(["before"]);
    });
  }
});
