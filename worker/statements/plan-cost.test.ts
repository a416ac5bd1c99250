/** Bounds on real plans: never below what SQLite visits, and small for what the API does all day. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { planCost } from "./plan-cost.ts";

const ROWS = 1_000;
const db = new Database(":memory:");
db.run("CREATE TABLE t (id TEXT PRIMARY KEY, a, b, list)");
db.run("CREATE INDEX t_a ON t (a)");

function cost(sql: string) {
  const plan = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).values() as [number, number, number, string][];
  return planCost(
    plan.map(([id, parent, , detail]) => ({ id, parent, detail })),
    ROWS,
  );
}

const cases: [what: string, sql: string, least: number, most: number][] = [
  ["by id", "SELECT * FROM t WHERE id = ?", 1, 1],
  ["a scan", "SELECT * FROM t WHERE b = ?", ROWS, ROWS],
  ["an index may hold one value only", "SELECT * FROM t WHERE a = ?", ROWS, ROWS],
  ["a join by id", "SELECT * FROM t LEFT JOIN t o ON o.id = t.b WHERE t.a > 1", ROWS, 2 * ROWS],
  ["a cross join", "SELECT count(*) FROM t, t o WHERE t.b < o.b", ROWS ** 2, 1.1 * ROWS ** 2],
  [
    "three tables",
    "SELECT count(*) FROM t, t o, t p WHERE t.b < o.b AND o.b < p.b",
    ROWS ** 3,
    1.1 * ROWS ** 3,
  ],
  [
    "a correlated subquery",
    "SELECT * FROM t WHERE EXISTS (SELECT 1 FROM t o WHERE o.b < t.b AND o.a + 1 > t.a)",
    ROWS ** 2,
    1.1 * ROWS ** 2,
  ],
  [
    "a correlated subquery under one row",
    "SELECT (SELECT count(*) FROM t o WHERE o.b < t.b) FROM t WHERE id = ?",
    ROWS,
    ROWS + 1,
  ],
  ["a subquery of its own", "SELECT * FROM t WHERE b IN (SELECT b FROM t)", 2 * ROWS, 4 * ROWS],
  ["a union", "SELECT a FROM t UNION ALL SELECT b FROM t", 2 * ROWS, 2 * ROWS],
  [
    "a join over a union",
    "SELECT * FROM (SELECT a FROM t UNION SELECT b FROM t) u, t o WHERE u.a < o.b",
    2 * ROWS ** 2,
    3 * ROWS ** 2,
  ],
  ["or over indexes", "SELECT * FROM t WHERE a = 1 OR id = 2", 1, 2 * ROWS],
  ["a list's elements", "SELECT * FROM t, json_each(t.list) WHERE t.id = ?", 2, 1_001],
  [
    "recursion",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
    Infinity,
    Infinity,
  ],
  [
    "recursion in a subquery",
    "SELECT * FROM t WHERE b < (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n)",
    Infinity,
    Infinity,
  ],
  ["ids of a list", "SELECT * FROM t WHERE id IN (SELECT value FROM json_each(?))", 1_000, 3_000],
  ["ids of a table", "SELECT * FROM t WHERE id IN (SELECT b FROM t)", 2 * ROWS, 3 * ROWS],
  ["a full join", "SELECT * FROM t FULL JOIN t o ON o.b > t.b", ROWS ** 2, 2 * ROWS ** 2],
  ["no table at all", "SELECT 1", 0, 1],
];

test.each(cases)("%s", (_what, sql, least, most) => {
  const found = cost(sql);
  expect(found.most).toBeGreaterThanOrEqual(least);
  expect(found.most).toBeLessThanOrEqual(most);
  expect(found.likely).toBeLessThanOrEqual(found.most);
});

test("what streams is ended by a LIMIT", () => {
  expect(cost("SELECT * FROM t LIMIT 30").streams).toBe(true);
  expect(cost("SELECT * FROM t ORDER BY b LIMIT 30").streams).toBe(false);
  expect(cost("SELECT DISTINCT b FROM t LIMIT 30").streams).toBe(false);
  expect(cost("SELECT * FROM t, t o LIMIT 30").streams).toBe(false);
});
