/** Statements of one tenant that would never end: each fails by itself, and meanwhile everything else is answered. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../app-testing.ts";
import { TenantSession } from "../features/sql/tenant-session.ts";
import { recordScope } from "../pb/records/scope.ts";
import { modelOf } from "../model/model.ts";
import { readerPool } from "./pool.ts";
import { SqlTransaction } from "./transaction.ts";
import { readWeighed } from "./weighed-work.ts";

const ROWS = 400;
const ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) AS c FROM n";

let api: TestApi;
let root: PocketBase;
beforeAll(async () => {
  api = await startTestApi("async");
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  const fields = [
    { name: "title", type: "text" },
    { name: "number", type: "number" },
  ];
  await root.collections.create({ name: "items", type: "base", listRule: "", fields });
  await sql(
    `INSERT INTO items (id, title, number) WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ${ROWS}) SELECT printf('%015d', x), 'title ' || x, x FROM n`,
  );
});
afterAll(() => api.close());

const sql = (query: string): Promise<unknown> => root.send("/api/sql", { method: "POST", body: { query } });

async function failure(work: Promise<unknown>): Promise<{ code?: string; status?: number; message: string }> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error("expected an error");
}

/** Other requests, answered one after the other until `work` is over. */
async function answeredDuring(work: Promise<unknown>): Promise<number> {
  let isOver = false;
  const over = (): void => void (isOver = true);
  work.then(over, over);
  let answered = 0;
  while (!isOver) {
    await root.collection("items").getOne("000000000000001");
    answered += 1;
  }
  return answered;
}

describe("SQL", () => {
  test("an endless write in a transaction is stopped with it, and the next writer finds nothing of it", async () => {
    const session = new TenantSession(api.tenant, "full", api.tenant.observe(), 300);
    await session.execute("BEGIN", []);
    await session.execute("UPDATE items SET title = 'changed' WHERE number = 1", []);
    const endless = session.execute(`UPDATE items SET number = (${ENDLESS})`, []);
    expect(await answeredDuring(endless)).toBeGreaterThan(2);
    expect((await failure(endless)).code).toBe("SQLITE_INTERRUPT");
    expect(session.isAutocommit).toBe(false);
    expect((await failure(session.execute("SELECT 1", []))).code).toBe("SQLITE_ABORT_ROLLBACK");
    await root.collection("items").update("000000000000002", { title: "goes on" });
    expect((await root.collection("items").getOne("000000000000001"))["title"]).toBe("title 1");
    await session.execute("ROLLBACK", []);
    await session.execute("SELECT 1", []);
    await session.close();
  });

  test("a transaction that grows for ever is stopped before it fills the disk", async () => {
    await sql("CREATE TABLE large (value)");
    const rows =
      "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT zeroblob(4000000) FROM n";
    const grown = sql(`INSERT INTO large ${rows}`);
    expect(await answeredDuring(grown)).toBeGreaterThan(2);
    expect((await failure(grown)).message).toContain("The transaction changes more than");
    expect((await root.collection("items").getList(1, 1)).totalItems).toBe(ROWS);
  });

  test("memory is bounded, and the process of the next statement is another one", async () => {
    const large = sql("SELECT length(hex(zeroblob(450000000)))");
    expect((await failure(large)).message).toContain("out of memory");
    await sql("SELECT 1");
  });

  test("what a transaction fails with at its COMMIT is told, and nothing is kept", async () => {
    await sql("CREATE TABLE parents (id INTEGER PRIMARY KEY)");
    await sql("CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)");
    const failed = await failure(sql("INSERT INTO children VALUES (1)"));
    expect(failed.message).toContain("FOREIGN KEY constraint failed");
    expect(await sql("SELECT count(*) AS n FROM children")).toMatchObject({ rows: [["0"]] });
    await root.collection("items").update("000000000000002", { title: "title 2" });
  });

  test("transactions of one tenant come one after the other", async () => {
    const options = { access: "full", deferForeignKeys: false, onModelChanged: () => undefined } as const;
    const how = { bounds: { rowsMax: 10, bytesMax: 1_000 }, mayNest: false, mustFit: false };
    const add = async (): Promise<void> => {
      const transaction = await SqlTransaction.begin(api.tenant, api.tenant.observe(), options);
      const { rows } = await transaction.run("SELECT number FROM items WHERE title = 'title 5'", [], how);
      await transaction.run(
        "UPDATE items SET number = ? WHERE title = 'title 5'",
        [Number(rows[0]?.[0]) + 1],
        how,
      );
      await transaction.commit();
    };
    await Promise.all(Array.from({ length: 10 }, add));
    expect((await root.collection("items").getOne("000000000000005"))["number"]).toBe(15);
  });
});

describe("records", () => {
  const crossing = "@collection.items:a.number >= @collection.items:b.number";

  test("a heavy filter runs elsewhere and gives what it would give here", async () => {
    const filter = `number < 10 && @collection.items:a.number ?> number && @collection.items:b.title ?= title`;
    const { items, totalItems } = await root.collection("items").getList(1, 3, { filter, sort: "-number" });
    expect(readerPool().size).toBeGreaterThan(0);
    expect(totalItems).toBe(8);
    expect(items.map((item) => item["number"])).toEqual([9, 8, 7]);
  });

  test("an endless view is stopped, and so is whatever names it", async () => {
    await root.collections.create({
      name: "endless",
      type: "view",
      listRule: "",
      viewQuery:
        "SELECT (ROW_NUMBER() OVER ()) AS id, x FROM (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n) WHERE x < 0",
    });
    // Its trial has ended a process: the next one has time to start.
    await sql("SELECT 1");
    const seen = api.tenant.observe();
    const read = Promise.resolve(
      readWeighed(api.tenant, seen, (db) => db.all('SELECT * FROM "endless"'), 300),
    );
    expect(await answeredDuring(read)).toBeGreaterThan(2);
    expect((await failure(read)).code).toBe("SQLITE_INTERRUPT");
    const info = {
      context: "realtime",
      method: "GET",
      headers: {},
      query: {},
      body: {},
      auth: null,
    } as const;
    const inline = async (): Promise<unknown> =>
      api.tenant.data.read(seen, (db) =>
        recordScope(db, modelOf(api.tenant), info).db.all('SELECT * FROM "endless"'),
      );
    expect((await failure(inline())).code).toBe("SQLITE_INTERRUPT");
    // Saving it tries it out, until its limit.
  }, 30_000);

  test("a light view is read, first elsewhere and then here", async () => {
    await root.collections.create({
      name: "light",
      type: "view",
      listRule: "",
      viewQuery: "SELECT id, upper(title) AS t FROM items WHERE number < 4",
    });
    for (let round = 0; round < 2; round++) {
      const { items } = await root.collection("light").getList(1, 10, { sort: "id" });
      expect(items.map((item) => item["t"])).toEqual(["TITLE 1", "TITLE 2", "TITLE 3"]);
    }
  });

  test("views over views that take for ever to compile are refused when they are saved", async () => {
    let refused: Error | undefined;
    let before = "items";
    for (let depth = 0; depth < 40 && refused === undefined; depth++) {
      const viewQuery = `SELECT a.id FROM ${before} a JOIN ${before} b ON a.id = b.id`;
      refused = await root.collections.create({ name: `double${depth}`, type: "view", viewQuery }).then(
        () => undefined,
        (error: Error) => error,
      );
      before = `double${depth}`;
    }
    expect(JSON.stringify((refused as unknown as { response: unknown }).response)).toContain("Invalid query");
  });

  test("a heavy rule holds up only its own write", async () => {
    const ruled = (createRule: string) =>
      root.collections.create({
        name: `r${Bun.hash(createRule)}`,
        type: "base",
        createRule,
        fields: [{ name: "t", type: "text" }],
      });
    const met = await ruled(`${crossing} || t = 'x'`);
    const unmet = await ruled(`${crossing} && t = 'y'`);
    const guest = new PocketBase(api.url);
    expect((await guest.collection(met.name).create({ t: "x" }))["t"]).toBe("x");
    expect((await failure(guest.collection(unmet.name).create({ t: "x" }))).status).toBe(400);
  });
});

describe("triggers that a superuser made", () => {
  const create = (title: string) => root.collection("watched").create({ title });
  const trigger = (body: string): Promise<unknown> =>
    sql(`CREATE TRIGGER watch AFTER INSERT ON watched BEGIN ${body}; END`);

  beforeAll(async () => {
    await root.collections.create({
      name: "watched",
      type: "base",
      fields: [{ name: "title", type: "text" }],
    });
    await sql("CREATE TABLE counted (total INTEGER)");
  });

  test("run while they are light", async () => {
    await trigger("INSERT INTO counted SELECT count(*) FROM items a WHERE a.number > 0");
    await create("light");
    const { rows } = (await sql("SELECT total FROM counted")) as { rows: unknown };
    expect(JSON.stringify(rows)).toContain(String(ROWS));
    await sql("DROP TRIGGER watch");
  });

  test.each([
    [
      "a cross join",
      "UPDATE counted SET total = (SELECT count(*) FROM items a, items b, items c WHERE a.number + b.number = c.number)",
    ],
    ["a recursion in a view", "UPDATE counted SET total = (SELECT count(*) FROM forever)"],
  ])("with %s refuse the write instead of stopping everybody", async (_, body) => {
    await sql(
      "CREATE VIEW IF NOT EXISTS forever AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n",
    );
    await trigger(body);
    expect(await failure(create("heavy"))).toMatchObject({
      status: 400,
      message: "Failed to create record.",
    });
    await sql("DROP TRIGGER watch");
    await create("afterwards");
  });
});
