import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import type { SqlValue } from "../sqlite/contract.ts";
import { withReals, withoutReals } from "./real-parameters.ts";

/** statement, values, the statement that runs */
test.each<[string, SqlValue[], string]>([
  ["SELECT ?", [1n], "SELECT ?"],
  ["SELECT ?, ?", [1.5, "1"], "SELECT ?, ?"],
  ["SELECT ?, ?, '?'", [1n, 2], "SELECT ?, (?+0.0), '?'"],
  ["SELECT ?2, ?1, ?2", [1n, 2], "SELECT (?2+0.0), ?1, (?2+0.0)"],
  ["SELECT ?3, ?", [null, null, 1n, 4], "SELECT ?3, (?+0.0)"],
  ["SELECT :a, :b, :a -- ?", [1, 2n], "SELECT (:a+0.0), :b, (:a+0.0) -- ?"],
  ["SELECT $a::b(c), @d", [1, 2], "SELECT ($a::b(c)+0.0), (@d+0.0)"],
])("withReals: %s with %p is %s", (sql, values, expected) => {
  expect(withReals(sql, values)).toBe(expected);
  const statement = new Database(":memory:").prepare(expected);
  statement.values(...(values as []));
  expect(statement.columnNames.map(withoutReals).join(", ")).toBe(sql.slice("SELECT ".length));
});

test("withReals: very many whole numbers stay as they are", () => {
  const sql = `SELECT ${Array(limits.sqlRealParametersMax + 1)
    .fill("?")
    .join(", ")}`;
  const values = Array.from({ length: limits.sqlRealParametersMax + 1 }, () => 1);
  expect(withReals(sql, values)).toBe(sql);
  expect(withReals(sql, values.with(0, 1.5))).toStartWith("SELECT ?, (?+0.0), ");
});
