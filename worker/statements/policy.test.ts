/** Evasions: whatever a statement looks like, a token does no more than it may. Judged on real compilations of a real schema. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import type { SqlReader, SqlRow } from "../sqlite/contract.ts";
import { SchemaCopy } from "../sqlite/schema-copy.ts";
import { type SqlAccess, judge, mayPragma } from "./policy.ts";

const db = new Database(":memory:");
for (const statement of [
  "CREATE TABLE posts (id TEXT PRIMARY KEY, title TEXT)",
  "CREATE TABLE _collections (id TEXT PRIMARY KEY, name TEXT, options JSON)",
  "CREATE TABLE _params (id TEXT PRIMARY KEY, value JSON)",
  "CREATE TABLE _superusers (id TEXT PRIMARY KEY, email TEXT, password TEXT, tokenKey TEXT)",
  "CREATE TABLE _mb_secrets (id TEXT PRIMARY KEY, value TEXT)",
  "CREATE TABLE mine (a UNIQUE, b)",
  "CREATE TABLE alike (id TEXT PRIMARY KEY, email TEXT, password TEXT, tokenKey TEXT)",
  "CREATE VIEW spy AS SELECT tokenKey AS harmless FROM _superusers",
  "CREATE VIEW behind AS SELECT s.harmless FROM (SELECT * FROM spy) AS s",
  "CREATE VIEW door AS SELECT * FROM _params",
  "CREATE TRIGGER door_in INSTEAD OF INSERT ON door BEGIN INSERT INTO _params VALUES (new.id, new.value); END",
  "CREATE TRIGGER mine_in AFTER UPDATE ON mine BEGIN DELETE FROM _superusers; END",
])
  db.run(statement);
const reader: SqlReader = {
  all: <Row = SqlRow>(sql: string) => db.prepare(sql).all() as Row[],
  get: <Row = SqlRow>(sql: string) => (db.prepare(sql).get() ?? undefined) as Row | undefined,
  values: (sql) => db.prepare(sql).values(),
  raw: () => {
    throw new Error("unused");
  },
};
const copy = new SchemaCopy([]);
const viewsOf = (): Map<string, string> =>
  new Map(
    db
      .prepare("SELECT lower(name), sql FROM sqlite_schema WHERE type = 'view'")
      .values()
      .map(([name, sql]) => [String(name), String(sql)]),
  );

/** What a statement would be allowed to do; undefined when it is refused or does not compile. */
function verdict(sql: string, access: SqlAccess) {
  try {
    const { actions } = copy.compile(reader, sql, mayPragma);
    return judge(sql, actions, access, { collections: new Set(["posts"]), views: viewsOf });
  } catch {
    return undefined;
  }
}

/** The same statement in other clothes. */
function* disguises(sql: string): Generator<string> {
  yield sql;
  yield sql.toLowerCase();
  yield `/* SELECT */ ${sql}`;
  yield `-- SELECT 1\n${sql}`;
  yield `\t\r\n\f ;;; ${sql}`;
  yield sql.replaceAll(" ", "/**/ ");
  yield sql.replace(/\b(_\w+)/, '"$1"');
  yield sql.replace(/\b(_\w+)/, "[$1]");
  yield sql.replace(/\b(_\w+)/, "`$1`");
  yield sql.replace(/\b(_\w+)/, "main.$1");
  yield sql.replace(/\b(_\w+)/, (name) => name.toUpperCase());
  yield sql.replace(/\b(_\w+)/, (name) => `"MAIN"."${name.toUpperCase()}"`);
}

/** Nobody: they reach out of the tenant, or break its replication. */
const NEVER = [
  "ATTACH 'x.db' AS x",
  "ATTACH DATABASE ':memory:' AS x",
  "DETACH DATABASE main",
  "VACUUM",
  "VACUUM main",
  "VACUUM INTO '/tmp/x.db'",
  "PRAGMA journal_mode=DELETE",
  "PRAGMA journal_mode = off",
  "PRAGMA main.journal_mode(memory)",
  "PRAGMA wal_checkpoint",
  "PRAGMA wal_checkpoint(RESTART)",
  "PRAGMA wal_autocheckpoint=1",
  "PRAGMA locking_mode=EXCLUSIVE",
  "PRAGMA page_size=512",
  "PRAGMA auto_vacuum=1",
  "PRAGMA writable_schema=1",
  "PRAGMA trusted_schema=1",
  "PRAGMA query_only=OFF",
  "PRAGMA synchronous=2",
  "PRAGMA schema_version=7",
  "PRAGMA max_page_count=5",
  "PRAGMA mmap_size=1",
  "PRAGMA temp_store_directory='/tmp'",
  "PRAGMA data_store_directory='/tmp'",
  "PRAGMA hard_heap_limit=1",
  "PRAGMA optimize",
  "PRAGMA incremental_vacuum",
  "PRAGMA shrink_memory",
  "SELECT * FROM pragma_wal_checkpoint",
  "SELECT * FROM pragma_writable_schema",
  "SELECT load_extension('x')",
  "SELECT 1 FROM mine WHERE load_extension('x') IS NULL",
  "SELECT fts3_tokenizer('simple', x'00')",
  "SELECT * FROM sqlite_dbpage",
  "UPDATE sqlite_dbpage SET data = x'' WHERE pgno = 1",
  "CREATE VIRTUAL TABLE v USING dbstat",
  "CREATE VIRTUAL TABLE v USING sqlite_dbpage",
  "CREATE TEMP TABLE t (a)",
  "CREATE TEMP VIEW t AS SELECT 1",
  "CREATE TEMP TRIGGER t AFTER INSERT ON posts BEGIN SELECT 1; END",
  "CREATE TABLE temp.t (a)",
  "CREATE VIEW temp.t AS SELECT 1",
  "CREATE TRIGGER temp.t AFTER INSERT ON posts BEGIN SELECT 1; END",
  "INSERT INTO temp.sqlite_master VALUES ('a', 'a', 'a', 1, 'a')",
];

/** Superusers only. */
const INTERNAL = [
  "DELETE FROM _superusers",
  "WITH x AS (SELECT 1) DELETE FROM _superusers",
  "WITH x(a) AS (VALUES (1)) INSERT INTO _params SELECT a, a FROM x",
  "INSERT OR REPLACE INTO _collections (id) VALUES ('a')",
  "REPLACE INTO _collections (id) VALUES ('a')",
  "INSERT INTO _params (id) VALUES ('a') ON CONFLICT DO UPDATE SET value = 1 RETURNING *",
  "UPDATE _superusers SET password = '' RETURNING id",
  "UPDATE _collections SET options = '{}' FROM posts WHERE posts.id = _collections.id",
  "DROP TABLE _superusers",
  "ALTER TABLE _superusers RENAME TO gone",
  "ALTER TABLE _superusers DROP COLUMN password",
  "CREATE INDEX i ON _superusers (email)",
  "CREATE TRIGGER t AFTER INSERT ON _superusers BEGIN SELECT 1; END",
  "INSERT INTO door VALUES ('settings', '{}')",
  "UPDATE mine SET a = 1",
  "INSERT INTO mine (a) VALUES (1) ON CONFLICT DO UPDATE SET a = 2",
  "DELETE FROM _mb_secrets",
  "CREATE VIRTUAL TABLE f USING fts5 (tokenKey, content='_superusers')",
  "CREATE TABLE _mine (a)",
  "ALTER TABLE mine RENAME TO _mine",
  "CREATE TRIGGER t AFTER INSERT ON mine BEGIN DELETE FROM _superusers; END",
  "CREATE TRIGGER t AFTER INSERT ON mine BEGIN INSERT INTO mine SELECT tokenKey, 1 FROM _superusers; END",
  "CREATE TRIGGER t AFTER INSERT ON mine BEGIN INSERT INTO mine SELECT harmless, 1 FROM Spy; END",
  "CREATE TRIGGER t AFTER INSERT ON mine BEGIN INSERT INTO mine SELECT *, 1 FROM [behind]; END",
  "CREATE VIEW v AS SELECT email FROM _superusers",
  "CREATE VIEW v AS SELECT * FROM behind",
];

const SECRET = [
  "SELECT tokenKey FROM _superusers",
  "SELECT * FROM _superusers",
  "SELECT s.* FROM _superusers AS s",
  "SELECT harmless FROM spy",
  "SELECT count(*) FROM posts WHERE (SELECT password FROM _superusers) > 'a'",
  "SELECT 1 FROM posts ORDER BY (SELECT tokenKey FROM _superusers)",
  "SELECT * FROM posts NATURAL JOIN _superusers",
  "SELECT email FROM alike JOIN _superusers USING (tokenKey)",
  "WITH t AS (SELECT tokenKey k FROM _superusers) SELECT k FROM t",
  "SELECT max(value) FROM _params",
  "SELECT json_extract(options, '$') FROM _collections",
  "SELECT value FROM _mb_secrets",
  "SELECT * FROM door",
  "EXPLAIN SELECT value FROM _params",
];

const every = (list: readonly string[]) => list.flatMap((sql) => [...disguises(sql)]);
/** SQLite itself makes nothing of some disguises, so every list must hold some that compile for a superuser. */
const compiles = (list: readonly string[]): number =>
  every(list).filter((sql) => verdict(sql, "full") !== undefined).length;

test.each(every(NEVER))("nobody may %s", (sql) => {
  expect(verdict(sql, "full")).toBeUndefined();
});

test.each(every([...INTERNAL, ...SECRET]))("only superusers may %s", (sql) => {
  // What does not write and reads nothing (a comment) may pass: it does nothing.
  expect(verdict(sql, "write")).toBeUndefined();
  expect(verdict(sql, "read")).toBeUndefined();
});

test("a token's trigger may do what the token may", () => {
  const trigger = (body: string) => `CREATE TRIGGER t AFTER INSERT ON mine BEGIN ${body}; END`;
  expect(verdict(trigger("DELETE FROM posts WHERE _rowid_ = new.a"), "write")?.isWrite).toBe(true);
  for (const name of ["'_params'", "[_params]", "`_Params`", '"_params"', "_params"]) {
    expect(verdict(trigger(`UPDATE ${name} SET value = 1`), "write")).toBeUndefined();
    expect(verdict(trigger(`UPDATE ${name} SET value = 1`), "full")?.isWrite).toBe(true);
  }
});

test("superusers may what others may not", () => {
  expect(compiles(INTERNAL)).toBeGreaterThan(INTERNAL.length * 8);
  expect(compiles(SECRET)).toBeGreaterThan(SECRET.length * 8);
});

test.each(
  every([
    "INSERT INTO posts (id) VALUES ('a')",
    "DELETE FROM posts",
    "CREATE TABLE more (a)",
    "ANALYZE",
    "REINDEX",
    "ALTER TABLE alike RENAME TO other",
    "ALTER TABLE alike RENAME COLUMN email TO mail",
  ]),
)("a read token may not %s", (sql) => {
  expect(verdict(sql, "read")).toBeUndefined();
  expect(verdict(sql, "write")?.isWrite).toBe(true);
});

test("of several statements the first is judged, and no more is run", () => {
  expect(verdict("SELECT 1; DELETE FROM _superusers", "read")?.isWrite).toBe(false);
});
