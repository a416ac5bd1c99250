import { describe, expect, test } from "bun:test";
import { firstWords, parameterNames, splitStatements } from "./sql-tokens.ts";

describe("splitStatements", () => {
  const cases: [name: string, sql: string, statements: string[]][] = [
    ["one without a semicolon", "SELECT 1", ["SELECT 1"]],
    ["several, with empty ones and blanks", ";; SELECT 1 ;\n SELECT 2;;", ["SELECT 1", "SELECT 2"]],
    [
      "semicolons in texts, names and comments",
      `SELECT ';', ";", [;], \`;\` -- ;\n/* ; */ ; x`,
      [`SELECT ';', ";", [;], \`;\``, "x"],
    ],
    ["doubled quotes", "SELECT 'it''s;'; SELECT 2", ["SELECT 'it''s;'", "SELECT 2"]],
    ["nothing but comments", "-- a;b\n/* c */", []],
    ["an unclosed text takes the rest", "SELECT 'a; SELECT 2", ["SELECT 'a; SELECT 2"]],
    [
      "a trigger with its body",
      "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM b; END; SELECT 3",
      [
        "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM b; END",
        "SELECT 3",
      ],
    ],
  ];
  test.each(cases)("%s", (_name, sql, statements) => {
    expect(splitStatements(sql)).toEqual(statements);
  });
});

test("parameterNames numbers as SQLite does", () => {
  expect(parameterNames("SELECT ?, :a, ?5, $b, :a, @c, '?', \"?\" -- ?")).toEqual([
    null,
    ":a",
    null,
    null,
    "?5",
    "$b",
    "@c",
  ]);
});

test("firstWords skips comments", () => {
  expect(firstWords("/* x */ explain -- y\n query plan select", 3)).toEqual(["EXPLAIN", "QUERY", "PLAN"]);
});
