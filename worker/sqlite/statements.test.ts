import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { Statements } from "./statements.ts";

test("Statements keeps so many of one connection, and so many of all", () => {
  const first = new Statements(new Database(":memory:"));
  const [oldest, second] = [first.prepared("SELECT 1"), first.prepared("SELECT 2")];
  for (let n = 3; n <= limits.statementCacheMax + 1; n++) first.prepared(`SELECT ${n}`);
  expect([oldest.isFinalized, second.isFinalized]).toEqual([true, false]);
  const others: Statements[] = [];
  for (let count = 0; count < limits.statementsOpenMax; count++) {
    if (count % limits.statementCacheMax === 0) others.push(new Statements(new Database(":memory:")));
    // This one is run all the time.
    first.prepared("SELECT 3");
    others.at(-1)?.prepared(`SELECT ${count}`);
  }
  expect(second.isFinalized).toBe(true);
  expect(first.prepared("SELECT 2").values()).toEqual([[2]]);
  expect(first.prepared("SELECT 3").values()).toEqual([[3]]);
  for (const one of [first, ...others]) one.close();
  expect(() => first.prepared("SELECT 4")).toThrow("left this worker");
});

test("Statements.reading refuses what would write", () => {
  const db = new Database(":memory:");
  db.run("CREATE TABLE t (a)");
  const statements = new Statements(db);
  expect(() => statements.reading("INSERT INTO t VALUES (1) RETURNING a")).toThrow("readonly");
  statements.prepared("INSERT INTO t VALUES (2)").run();
  expect(() => statements.reading("INSERT INTO t VALUES (2)")).toThrow("readonly");
  expect(statements.reading("SELECT a FROM t").values()).toEqual([[2]]);
  statements.close();
});
