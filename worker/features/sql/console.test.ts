import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { goFloat } from "./go-float.ts";

let api: TestApi;
let root: PocketBase;

beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "posts",
    type: "base",
    fields: [
      { name: "title", type: "text" },
      { name: "public", type: "bool" },
      { name: "score", type: "number" },
    ],
  });
  await root.collection("posts").create({ id: "aaaaaaaaaaaaaaa", title: "One", public: true, score: 1.5 });
});
afterAll(() => api.close());

interface Answer {
  status: number;
  body: Record<string, unknown> & { message: string };
}
async function run(query: unknown, token = root.authStore.token): Promise<Answer> {
  const response = await fetch(`${api.url}/api/sql`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: token },
    body: JSON.stringify({ query }),
  });
  return { status: response.status, body: (await response.json()) as Answer["body"] };
}

describe("POST /api/sql", () => {
  test("gives rows as text, with column types and an integer time", async () => {
    const { status, body } = await run(
      "SELECT id, title, public, score, 1+1 AS two, NULL AS empty FROM posts",
    );
    expect(status).toBe(200);
    expect(Object.keys(body)).toEqual(["execTime", "affectedRows", "columns", "rows"]);
    expect(Number.isInteger(body["execTime"])).toBe(true);
    expect(body["columns"]).toEqual([
      { name: "id", type: "TEXT", nullable: true },
      { name: "title", type: "TEXT", nullable: true },
      { name: "public", type: "BOOLEAN", nullable: true },
      { name: "score", type: "NUMERIC", nullable: true },
      { name: "two", type: "", nullable: true },
      { name: "empty", type: "", nullable: true },
    ]);
    expect(body["rows"]).toEqual([["aaaaaaaaaaaaaaa", "One", "1", "1.5", "2", null]]);
  });

  test("tells what a change of the schema comes after, as PocketBase's connection does", async () => {
    await root.collection("posts").create({ id: "bbbbbbbbbbbbbbb", title: "Two" });
    expect((await run("CREATE TABLE aside (a)")).body["affectedRows"]).toBe(1);
    expect((await run("INSERT INTO aside VALUES (1), (2), (3)")).body["affectedRows"]).toBe(3);
    expect((await run("ALTER TABLE aside RENAME TO beside")).body["affectedRows"]).toBe(3);
    expect((await run("DELETE FROM beside WHERE a = 9")).body["affectedRows"]).toBe(0);
    expect((await run("ALTER TABLE beside RENAME COLUMN a TO b")).body["affectedRows"]).toBe(0);
    await root.collection("posts").delete("bbbbbbbbbbbbbbb");
    expect((await run("DROP TABLE beside")).body).toMatchObject({ affectedRows: 1, columns: [], rows: [] });
  });

  test.each([
    ["SELECT ?", "missing argument with index 1"],
    ["SELECT :a", 'missing named argument "a"'],
    ["SELECT '{:a}'", "Named parameter not found: a"],
    ["ROLLBACK", "SQL logic error: cannot rollback - no transaction is active (1)"],
  ])("refuses %p", async (query, reason) => {
    const { status, body } = await run(query);
    expect([status, body.message]).toEqual([400, `Failed to execute query. Raw error:\n${reason}.`]);
  });

  test.each(["-- nothing", "/* never closed", ";", "\0SELECT 1"])(
    "%p says nothing, which is no error",
    async (query) => {
      const { status, body } = await run(query);
      expect({ status, ...body }).toMatchObject({ status: 200, affectedRows: 0, columns: [], rows: [] });
    },
  );

  test("reads no further than a NUL, as SQLite", async () => {
    expect((await run("SELECT 1\0; SELECT 2")).body["rows"]).toEqual([["1"]]);
  });

  test("shows what the last statement gives", async () => {
    const { body } = await run("SELECT 1; DELETE FROM posts WHERE id = 'none'");
    expect(body).toMatchObject({ affectedRows: 0, columns: [], rows: [] });
  });

  test("keeps 64-bit integers and columns of one name", async () => {
    const { body } = await run("SELECT 9223372036854775807 AS a, 2 AS a");
    expect(body["rows"]).toEqual([["9223372036854775807", "2"]]);
  });

  test("counts what a write changed and gives no rows", async () => {
    const { status, body } = await run("UPDATE posts SET score = score + 1 RETURNING id");
    expect({ status, ...body }).toMatchObject({ status: 200, affectedRows: 1, columns: [], rows: [] });
    expect((await root.collection("posts").getOne("aaaaaaaaaaaaaaa"))["score"]).toBe(2.5);
  });

  test("several statements are one transaction", async () => {
    const failed = await run("CREATE TABLE t (a); INSERT INTO t VALUES (1); INSERT INTO nope VALUES (1)");
    expect(failed.status).toBe(400);
    expect(failed.body.message).toBe(
      "Failed to execute query. Raw error:\nSQL logic error: no such table: nope (1).",
    );
    expect((await run("SELECT * FROM t")).status).toBe(400);
    expect((await run("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2);")).status).toBe(200);
    expect((await run("SELECT count(*) FROM t")).body["rows"]).toEqual([["2"]]);
    expect((await run("DROP TABLE t")).status).toBe(200);
  });

  test("what it changes in a collection is seen at once", async () => {
    expect((await run("UPDATE _collections SET listRule = '' WHERE name = 'posts'")).status).toBe(200);
    const listed = await fetch(`${api.url}/api/collections/posts/records`);
    expect(listed.status).toBe(200);
    expect((await run("UPDATE _collections SET listRule = NULL WHERE name = 'posts'")).status).toBe(200);
    expect((await fetch(`${api.url}/api/collections/posts/records`)).status).toBe(403);
    const name =
      "UPDATE _params SET value = json_set(value, '$.meta.appName', 'By SQL') WHERE id = 'settings'";
    expect((await run(name)).status).toBe(200);
    expect((await root.settings.getAll())["meta"]).toMatchObject({ appName: "By SQL" });
  });

  test("tells what PRAGMAs and EXPLAIN tell", async () => {
    expect((await run("PRAGMA journal_mode")).body["rows"]).toEqual([["wal"]]);
    expect((await run("SELECT name FROM pragma_table_info('posts') ORDER BY name")).body["rows"]).toEqual([
      ["id"],
      ["public"],
      ["score"],
      ["title"],
    ]);
    const { body } = await run("EXPLAIN QUERY PLAN SELECT * FROM posts WHERE id = 'x'");
    expect((body["columns"] as { name: string }[]).map(({ name }) => name)).toContain("detail");
    expect((await run("EXPLAIN DELETE FROM posts")).status).toBe(200);
  });

  test("gives at most a thousand rows", async () => {
    const { body } = await run(
      "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 5000) SELECT x FROM n",
    );
    expect((body["rows"] as unknown[]).length).toBe(1000);
  });

  test.each([
    ["ATTACH DATABASE '/tmp/x.db' AS x"],
    ["DETACH DATABASE main"],
    ["VACUUM"],
    ["/* x */ VACUUM INTO '/tmp/x.db'"],
    ["PRAGMA journal_mode=DELETE"],
    ["PRAGMA wal_checkpoint(TRUNCATE)"],
    ["PRAGMA writable_schema=ON"],
    ["PRAGMA temp_store_directory='/tmp'"],
    ["PRAGMA hard_heap_limit=1000"],
    ["PRAGMA foreign_keys=OFF; DELETE FROM posts"],
    ["SELECT load_extension('/tmp/x.so')"],
    ["CREATE TEMP TABLE x (a)"],
    ["BEGIN"],
    ["SELECT 1; COMMIT"],
    ["SELECT * FROM sqlite_dbpage"],
    ["CREATE VIRTUAL TABLE x USING dbstat"],
    ["; ATTACH ':memory:' AS y"],
  ])("refuses %s", async (query) => {
    const { status, body } = await run(query);
    expect({ query, status }).toEqual({ query, status: 400 });
    expect(body.message).toStartWith("Failed to execute query. Raw error:\n");
    expect((await run("SELECT count(*) FROM posts")).body["rows"]).toEqual([["1"]]);
  });

  test.each([
    [undefined, "validation_required"],
    ["", "validation_required"],
    ["x".repeat(5001), "validation_length_too_long"],
  ])("refuses a query that is empty or too long", async (query, code) => {
    const { status, body } = await run(query);
    expect(status).toBe(400);
    expect(body["data"]).toMatchObject({ query: { code } });
  });

  test("is for superusers", async () => {
    expect((await run("SELECT 1", "")).status).toBe(401);
    const user = await root
      .collection("users")
      .create({ email: "a@b.co", password: "12345678", passwordConfirm: "12345678" });
    const pb = new PocketBase(api.url);
    await pb.collection("users").authWithPassword("a@b.co", "12345678");
    expect((await run("SELECT 1", pb.authStore.token)).status).toBe(403);
    await root.collection("users").delete(user.id);
  });
});

test("goFloat writes as Go does", () => {
  const cases: [number, string][] = [
    [1.5, "1.5"],
    [100000, "100000"],
    [1000000, "1e+06"],
    [1234567.5, "1.2345675e+06"],
    [0.0001, "0.0001"],
    [0.00001, "1e-05"],
    [-0.5, "-0.5"],
  ];
  for (const [value, text] of cases) expect(goFloat(value)).toBe(text);
});

test("a script that is a transaction as a whole runs as one", async () => {
  const renamed = "UPDATE posts SET title = 'Whole' WHERE id = 'aaaaaaaaaaaaaaa'";
  const { status, body } = await run(`BEGIN IMMEDIATE; ${renamed}; COMMIT;`);
  expect([status, body["affectedRows"], body["columns"], body["rows"]]).toEqual([200, 0, [], []]);
  expect((await root.collection("posts").getOne("aaaaaaaaaaaaaaa"))["title"]).toBe("Whole");
  expect((await run(`begin transaction; ${renamed.replace("Whole", "Half")}; select nope; end`)).status).toBe(
    400,
  );
  expect((await root.collection("posts").getOne("aaaaaaaaaaaaaaa"))["title"]).toBe("Whole");
  for (const open of ["BEGIN", `BEGIN; ${renamed}`, `${renamed}; COMMIT`, "BEGIN; BEGIN; COMMIT; COMMIT"]) {
    expect((await run(open)).status).toBe(400);
  }
});

test.each([
  [`SELECT '${"é".repeat(2500)}'`, 400, "An error occurred while validating the submitted data."],
  ["SELECT ?1", 400, 'Failed to execute query. Raw error:\nmissing named argument "1".'],
  ["SELECT ?", 400, "Failed to execute query. Raw error:\nmissing argument with index 1."],
  ["SELECT zeroblob(2000000000)", 400, "Failed to execute query. Raw error:\nstring or blob too big (18)."],
])("%s is answered with %d", async (query, status, message) => {
  const answer = await run(query);
  expect([answer.status, answer.body.message]).toEqual([status, message]);
});
