/** The libSQL remote protocol as the real client speaks it, and what tokens may not do. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Client, createClient } from "@libsql/client/http";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/libsql";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { TenantSession } from "./tenant-session.ts";

let api: TestApi;
let root: PocketBase;
const tokens = { read: "", write: "" };

beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({ name: "posts", type: "base", fields: [{ name: "title", type: "text" }] });
  for (const access of ["read", "write"] as const) {
    const made = await root.send<{ token: string }>("/api/sql/tokens", {
      method: "POST",
      body: { name: access, access },
    });
    tokens[access] = made.token;
  }
});
afterAll(() => api.close());

function connect(authToken: string, options = {}): Client {
  return createClient({ url: api.url, authToken, ...options });
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  return (error as { code?: string } | undefined)?.code ?? "no error";
}

describe("@libsql/client", () => {
  test("executes, with every type of value there and back", async () => {
    const client = connect(tokens.write, { intMode: "bigint" });
    await client.execute("CREATE TABLE kinds (id INTEGER PRIMARY KEY, v)");
    const values = [null, 9223372036854775807n, -5n, 1.5, "text é", new Uint8Array([0, 1, 255])];
    for (const value of values) {
      const { rowsAffected, lastInsertRowid } = await client.execute({
        sql: "INSERT INTO kinds (v) VALUES (?)",
        args: [value],
      });
      expect(rowsAffected).toBe(1);
      expect(lastInsertRowid).toBeGreaterThan(0n);
    }
    const { rows, columns, columnTypes } = await client.execute("SELECT v, id FROM kinds ORDER BY id");
    expect(columns).toEqual(["v", "id"]);
    expect(columnTypes).toEqual(["", "INTEGER"]);
    const back = rows.map((row) => (row[0] instanceof ArrayBuffer ? new Uint8Array(row[0]) : row[0]));
    expect(back).toEqual(values);
    const named = await client.execute({
      sql: "SELECT :a + $b AS sum, @c AS c",
      args: { a: 1n, $b: 2n, c: "x" },
    });
    expect(named.rows[0]).toMatchObject({ sum: 3n, c: "x" });
    const divided = await client.execute({ sql: "SELECT ? / 2, typeof(?) LIMIT ?", args: [3, 1, 5] });
    expect([divided.columns, Array.from(divided.rows[0] ?? [])]).toEqual([
      ["? / 2", "typeof(?)"],
      [1.5, "real"],
    ]);
  });

  test("a batch is one transaction", async () => {
    const client = connect(tokens.write);
    await client.batch(
      ["CREATE TABLE pairs (a UNIQUE)", { sql: "INSERT INTO pairs VALUES (?)", args: [1] }],
      "write",
    );
    expect(
      await codeOf(client.batch(["INSERT INTO pairs VALUES (2)", "INSERT INTO pairs VALUES (1)"], "write")),
    ).toBe("SQLITE_CONSTRAINT_UNIQUE");
    const { rows } = await client.execute("SELECT a FROM pairs");
    expect(rows.map((row) => row["a"])).toEqual([1]);
    const read = await client.batch(["SELECT count(*) AS n FROM pairs", "SELECT 2"], "read");
    expect(read.map(({ rows }) => rows[0]?.[0])).toEqual([1, 2]);
  });

  test("an interactive transaction commits, rolls back, and hides its rows until then", async () => {
    const client = connect(tokens.write);
    await client.execute("CREATE TABLE moves (a)");
    const other = connect(tokens.read);
    const count = async (): Promise<unknown> =>
      (await other.execute("SELECT count(*) FROM moves")).rows[0]?.[0];

    const kept = await client.transaction("write");
    await kept.execute("INSERT INTO moves VALUES (1)");
    expect((await kept.execute("SELECT count(*) FROM moves")).rows[0]?.[0]).toBe(1);
    expect(await count()).toBe(0);
    await kept.commit();
    expect(await count()).toBe(1);

    const undone = await client.transaction("write");
    await undone.batch(["INSERT INTO moves VALUES (2)", "CREATE TABLE undone (a)"]);
    expect((await undone.execute("SELECT count(*) FROM undone")).rows[0]?.[0]).toBe(0);
    await undone.rollback();
    expect(await count()).toBe(1);
    expect(await codeOf(client.execute("SELECT * FROM undone"))).toBe("SQLITE_ERROR");
    // The same schema version comes again with another table.
    await client.execute("CREATE TABLE redone (b)");
    expect((await client.execute("SELECT b FROM redone")).rows).toEqual([]);

    const closed = await client.transaction("deferred");
    await closed.execute("INSERT INTO moves VALUES (3)");
    closed.close();
    expect(await count()).toBe(1);
  });

  test("writes of others wait for an interactive transaction", async () => {
    const client = connect(tokens.write);
    const transaction = await client.transaction("write");
    await transaction.execute("SELECT 1");
    let isDone = false;
    const waiting = root
      .collection("posts")
      .create({ title: "waits" })
      .then(() => (isDone = true));
    await Bun.sleep(50);
    expect(isDone).toBe(false);
    await transaction.commit();
    expect(await waiting).toBe(true);
  });

  test("a failed statement that ends the transaction is told as such", async () => {
    const client = connect(tokens.write);
    await client.execute("CREATE TABLE harsh (a UNIQUE)");
    const transaction = await client.transaction("write");
    await transaction.execute("INSERT INTO harsh VALUES (1)");
    expect(await codeOf(transaction.execute("INSERT OR ROLLBACK INTO harsh VALUES (1)"))).toBe(
      "SQLITE_CONSTRAINT_UNIQUE",
    );
    expect(await codeOf(transaction.execute("INSERT INTO harsh VALUES (2)"))).toBe("SQLITE_ABORT_ROLLBACK");
    transaction.close();
    expect((await client.execute("SELECT * FROM harsh")).rows).toEqual([]);
  });

  test("executeMultiple and migrate run scripts", async () => {
    const client = connect(tokens.write);
    await client.executeMultiple(
      "CREATE TABLE script (a); -- ;\nINSERT INTO script VALUES (';'); INSERT INTO script VALUES (2);",
    );
    expect((await client.execute("SELECT count(*) FROM script")).rows[0]?.[0]).toBe(2);
    await client.migrate(["CREATE TABLE script2 (a)", "DROP TABLE script"]);
    expect(await codeOf(client.execute("SELECT * FROM script"))).toBe("SQLITE_ERROR");
  });

  test("reads collections and writes their rows", async () => {
    const client = connect(tokens.write);
    await client.execute("INSERT INTO posts (id, title) VALUES ('bbbbbbbbbbbbbbb', 'by SQL')");
    expect((await root.collection("posts").getOne("bbbbbbbbbbbbbbb"))["title"]).toBe("by SQL");
  });
});

describe("@libsql/client, the rest of it", () => {
  test("modes of transactions and batches", async () => {
    const client = connect(tokens.write);
    await client.execute("CREATE TABLE modes (a)");
    for (const mode of ["write", "deferred"] as const) {
      const transaction = await client.transaction(mode);
      await transaction.batch([{ sql: "INSERT INTO modes VALUES (?)", args: [mode] }]);
      await transaction.executeMultiple("INSERT INTO modes VALUES (1); INSERT INTO modes VALUES (2);");
      await transaction.commit();
      expect(transaction.closed).toBe(true);
      await client.batch([{ sql: "INSERT INTO modes VALUES (:m)", args: { m: mode } }], mode);
    }
    const reading = await client.transaction("read");
    expect((await reading.execute("SELECT count(*) AS n FROM modes")).rows[0]?.["n"]).toBe(8);
    expect(await codeOf(reading.execute("DELETE FROM modes"))).toBe("SQLITE_READONLY");
    await reading.rollback();
    expect(await codeOf(client.batch(["DELETE FROM modes"], "read"))).toBe("SQLITE_READONLY");
    await client.execute("DROP TABLE modes");
  });

  test("reads of one client run beside each other, and a closed client says so", async () => {
    const client = connect(tokens.read);
    const many = Array.from({ length: 20 }, (_, n) => client.execute({ sql: "SELECT ? AS n", args: [n] }));
    expect((await Promise.all(many)).map(({ rows }) => rows[0]?.["n"])).toEqual([...Array(20).keys()]);
    expect(() => client.sync()).toThrow("SYNC_NOT_SUPPORTED");
    client.close();
    expect(client.closed).toBe(true);
    expect(await codeOf(client.execute("SELECT 1"))).not.toBe("no error");
  });

  test("errors have the codes of SQLite or of the protocol", async () => {
    const client = connect(tokens.write);
    await client.execute("CREATE TABLE once (a INTEGER PRIMARY KEY, b NOT NULL)");
    await client.execute("INSERT INTO once VALUES (1, 1)");
    const cases: [sql: string, args: (number | string)[], code: string][] = [
      ["SELEC 1", [], "SQLITE_ERROR"],
      ["SELECT * FROM nothing", [], "SQLITE_ERROR"],
      ["INSERT INTO once VALUES (1, 1)", [], "SQLITE_CONSTRAINT_PRIMARYKEY"],
      ["INSERT INTO once VALUES (2, NULL)", [], "SQLITE_CONSTRAINT_NOTNULL"],
      ["ATTACH 'x' AS y", [], "SQLITE_AUTH"],
      ["SELECT ?, ?", [1], "ARGS_INVALID"],
      ["SELECT ?", [1, 2], "ARGS_INVALID"],
      ["SELECT 1; DELETE FROM once", [], "SQL_MANY_STATEMENTS"],
      ["-- nothing", [], "SQL_NO_STATEMENT"],
    ];
    for (const [sql, args, code] of cases)
      expect([sql, await codeOf(client.execute({ sql, args }))]).toEqual([sql, code]);
    expect((await client.execute("SELECT count(*) AS n FROM once")).rows[0]?.["n"]).toBe(1);
    expect((await client.execute({ sql: "SELECT ?1 AS a, ?3 AS c", args: [1, 2, 3] })).rows[0]?.["c"]).toBe(
      3,
    );
    await client.execute("DROP TABLE once");
  });
});

test("Drizzle works over the client", async () => {
  const notes = sqliteTable("notes", { id: integer("id").primaryKey(), text: text("text").notNull() });
  const client = connect(tokens.write);
  await client.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
  const db = drizzle(client);
  const made = await db
    .insert(notes)
    .values([{ text: "a" }, { text: "b" }])
    .returning();
  expect(made).toEqual([
    { id: 1, text: "a" },
    { id: 2, text: "b" },
  ]);
  await db.transaction(async (tx) => {
    await tx.update(notes).set({ text: "c" }).where(eq(notes.id, 2));
    await tx.transaction(async (inner) => void (await inner.delete(notes).where(eq(notes.id, 1))));
  });
  expect(await db.select().from(notes)).toEqual([{ id: 2, text: "c" }]);
  await db
    .transaction(async (tx) => {
      await tx.delete(notes);
      tx.rollback();
    })
    .catch(() => undefined);
  expect(await db.$count(notes)).toBe(1);
});

describe("tokens", () => {
  test("are shown once and end when they are deleted or late", async () => {
    const made = await root.send<{ id: string; token: string }>("/api/sql/tokens", {
      method: "POST",
      body: { name: "short", access: "read" },
    });
    const listed = await root.send<Record<string, unknown>[]>("/api/sql/tokens", {});
    expect(listed.map(({ name, access }) => [name, access])).toContainEqual(["short", "read"]);
    expect(JSON.stringify(listed)).not.toContain(made.token.slice(-40));
    const client = connect(made.token);
    expect((await client.execute("SELECT 1")).rows[0]?.[0]).toBe(1);
    await root.send(`/api/sql/tokens/${made.id}`, { method: "DELETE" });
    expect(await codeOf(client.execute("SELECT 1"))).not.toBe("no error");
    const late = await root.send<{ token: string }>("/api/sql/tokens", {
      method: "POST",
      body: { name: "late", access: "read", expires: "2020-01-01 00:00:00.000Z" },
    });
    expect(await codeOf(connect(late.token).execute("SELECT 1"))).not.toBe("no error");
    expect(await codeOf(connect(`${tokens.read}x`).execute("SELECT 1"))).not.toBe("no error");
  });

  test("are made by superusers", async () => {
    const post = (body: unknown, authorization: string) =>
      fetch(`${api.url}/api/sql/tokens`, {
        method: "POST",
        headers: { authorization, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    expect((await post({ name: "a", access: "read" }, "")).status).toBe(401);
    expect((await post({ name: "a", access: "read" }, tokens.write)).status).toBe(401);
    expect((await post({ name: "", access: "all" }, root.authStore.token)).status).toBe(400);
  });

  test.each([
    ["DELETE FROM posts"],
    ["WITH x AS (SELECT 1) INSERT INTO posts (title) SELECT 'a' FROM x"],
    ["CREATE TABLE mine (a)"],
    ["BEGIN IMMEDIATE"],
  ])("a read-only one may not %s", async (sql) => {
    expect(await codeOf(connect(tokens.read).execute(sql))).toBe("SQLITE_AUTH");
  });

  test.each([
    ["UPDATE _superusers SET email = 'me@example.com'"],
    ["DELETE FROM _collections"],
    ["INSERT INTO _params (id) VALUES ('x')"],
    ["DROP TABLE posts"],
    ["ALTER TABLE posts ADD COLUMN extra TEXT"],
    ["CREATE TRIGGER t AFTER INSERT ON posts BEGIN DELETE FROM _superusers; END"],
    ["CREATE INDEX i ON posts (title)"],
    ["SELECT value FROM _params"],
    ["SELECT json_extract(options, '$') FROM _collections"],
    ["SELECT tokenKey FROM _superusers"],
    ["CREATE VIRTUAL TABLE f USING fts5 (tokenKey, content='_superusers')"],
    ["ATTACH ':memory:' AS x"],
    ["PRAGMA journal_mode=DELETE"],
    ["VACUUM INTO '/tmp/x.db'"],
    ["UPDATE sqlite_master SET sql = ''"],
    ["SELECT load_extension('x')"],
    ["CREATE TEMP TABLE x (a)"],
  ])("a read-write one may not %s", async (sql) => {
    expect(await codeOf(connect(tokens.write).execute(sql))).toMatch(/SQLITE_AUTH|SQLITE_ERROR/);
    expect((await root.collection("posts").getList(1, 1)).page).toBe(1);
  });

  test("what is refused directly is refused through a view or a trigger too", async () => {
    const client = connect(tokens.write);
    const peek = "CREATE VIEW peek AS SELECT value AS v FROM _params";
    expect(await codeOf(client.execute(peek))).toBe("SQLITE_AUTH");
    await connect(root.authStore.token).execute(peek);
    expect(await codeOf(client.execute("SELECT v FROM peek"))).toBe("SQLITE_AUTH");
    await client.execute("CREATE TABLE bait (a)");
    const hook = "CREATE TRIGGER hook AFTER INSERT ON bait BEGIN DELETE FROM _superusers; END";
    // A superuser who writes to the table would fire it.
    expect(await codeOf(client.execute(hook))).toBe("SQLITE_AUTH");
    const copies =
      "CREATE TRIGGER copies AFTER INSERT ON bait BEGIN INSERT INTO bait SELECT v FROM Peek; END";
    expect(await codeOf(client.execute(copies))).toBe("SQLITE_AUTH");
    await connect(root.authStore.token).execute(hook);
    expect(await codeOf(client.execute("INSERT INTO bait VALUES (1)"))).toBe("SQLITE_AUTH");
    expect((await root.collection("_superusers").getList()).totalItems).toBe(1);
  });

  test("a superuser's own token may do what theirs may not", async () => {
    const client = connect(root.authStore.token);
    expect((await client.execute("SELECT count(value) FROM _params")).rows[0]?.[0]).toBe(1);
  });
});

async function post(path: string, body: unknown, token = tokens.write): Promise<Response> {
  return fetch(`${api.url}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
}

test("a transaction that stays open is rolled back, and the lock is free again", async () => {
  const session = new TenantSession(api.tenant, "write", api.tenant.observe(), 30);
  await session.execute("BEGIN", []);
  await session.execute("INSERT INTO posts (title) VALUES ('forgotten')", []);
  expect(session.isAutocommit).toBe(false);
  await Bun.sleep(60);
  expect(await codeOf(session.execute("SELECT 1", []))).toBe("SQLITE_ABORT_ROLLBACK");
  await root.collection("posts").create({ title: "free" });
  await session.close();
  expect((await root.collection("posts").getList(1, 1, { filter: "title = 'forgotten'" })).totalItems).toBe(
    0,
  );
});

describe("the protocol", () => {
  test("versions are announced", async () => {
    expect((await fetch(`${api.url}/v2`)).status).toBe(200);
    expect((await fetch(`${api.url}/v3`)).status).toBe(200);
    expect((await fetch(`${api.url}/v3-protobuf`)).status).toBe(404);
  });

  test("a pipeline of version 2 keeps stored texts until its stream is closed", async () => {
    const first = await post("/v2/pipeline", {
      requests: [
        { type: "store_sql", sql_id: 1, sql: "SELECT ?1 AS a, 'x' AS b" },
        { type: "describe", sql_id: 1 },
        { type: "get_autocommit" },
      ],
    });
    const opened = (await first.json()) as { baton: string; results: unknown[] };
    expect(opened.results[1]).toEqual({
      type: "ok",
      response: {
        type: "describe",
        result: {
          params: [{ name: "?1" }],
          cols: [
            { name: "a", decltype: null },
            { name: "b", decltype: null },
          ],
          is_explain: false,
          is_readonly: true,
        },
      },
    });
    const again = {
      requests: [
        { type: "execute", stmt: { sql_id: 1, args: [{ type: "integer", value: "7" }] } },
        { type: "close" },
      ],
    };
    const answer = await post("/v2/pipeline", { baton: opened.baton, ...again });
    const { baton, results } = (await answer.json()) as {
      baton: null;
      results: { response: { result: { rows: unknown } } }[];
    };
    expect(baton).toBeNull();
    expect(results[0]?.response.result.rows).toEqual([
      [
        { type: "integer", value: "7" },
        { type: "text", value: "x" },
      ],
    ]);
    expect((await post("/v2/pipeline", { baton: opened.baton, ...again })).status).toBe(400);
  });

  test("conditions decide which steps of a batch run", async () => {
    const step = (sql: string, condition?: unknown) => ({
      stmt: { sql },
      ...(condition === undefined ? {} : { condition }),
    });
    const ok = { type: "ok", step: 0 };
    const answer = await post("/v3/pipeline", {
      requests: [
        {
          type: "batch",
          batch: {
            steps: [
              step("SELECT 1"),
              step("SELECT nope"),
              step("SELECT 2", { type: "and", conds: [ok, { type: "error", step: 1 }] }),
              step("SELECT 3", { type: "not", cond: ok }),
              step("SELECT 4", { type: "or", conds: [{ type: "ok", step: 3 }, { type: "is_autocommit" }] }),
            ],
          },
        },
        { type: "close" },
      ],
    });
    const { results } = (await answer.json()) as {
      results: { response: { result: { step_results: unknown[]; step_errors: unknown[] } } }[];
    };
    const { step_results, step_errors } = results[0]?.response.result ?? {
      step_results: [],
      step_errors: [],
    };
    expect(step_results.map((result) => result !== null)).toEqual([true, false, true, false, true]);
    expect(step_errors.map((error) => error !== null)).toEqual([false, true, false, false, false]);
  });

  test("a cursor gives a batch line by line", async () => {
    const answer = await post("/v3/cursor", {
      batch: { steps: [{ stmt: { sql: "SELECT 1 AS a UNION ALL SELECT 2" } }, { stmt: { sql: "nope" } }] },
    });
    const lines = (await answer.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]?.["baton"]).toBeString();
    expect(lines.slice(1).map(({ type }) => type)).toEqual([
      "step_begin",
      "row",
      "row",
      "step_end",
      "step_error",
    ]);
  });

  test("what is not of the protocol is refused", async () => {
    expect((await post("/v2/pipeline", { requests: [{ type: "explode" }] })).status).toBe(400);
    expect((await post("/v2/pipeline", { requests: [] }, "")).status).toBe(401);
    expect((await post("/v2/pipeline", { baton: "guess", requests: [] })).status).toBe(400);
  });
});
