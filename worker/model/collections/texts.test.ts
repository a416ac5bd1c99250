import { expect, test } from "bun:test";
import { buildIndex, parseIndex, singleUniqueIndex } from "./index-expression.ts";
import { builtSql, oneStatement } from "./sql-text.ts";
import { parseViewQuery } from "./view-query.ts";

test.each([
  ["CREATE INDEX `a` ON `t` (`created`)", "CREATE INDEX `a` ON `t` (`created`)"],
  ['CREATE UNIQUE INDEX "a" on "t" ("title")', "CREATE UNIQUE INDEX `a` ON `t` (`title`)"],
  ["create index a on t(x)", "CREATE INDEX `a` ON `t` (`x`)"],
  ['CREATE INDEX "a" ON "t" (\n"active"\n)', "CREATE INDEX `a` ON `t` (`active`)"],
  [
    "CREATE UNIQUE INDEX IF NOT EXISTS s.a ON t (x collate nocase desc, lower(y) ASC)  where x != ''",
    "CREATE UNIQUE INDEX IF NOT EXISTS `s`.`a` ON `t` (\n  `x` COLLATE nocase DESC,\n  lower(y) ASC\n) WHERE x != ''",
  ],
  ["CREATE INDEX a ON t (x) WHERE x > 1 and y < 2", "CREATE INDEX `a` ON `t` (`x`) WHERE x > 1 and y < 2"],
  // PocketBase takes the last parenthesis for the end of the columns.
  ["CREATE INDEX a ON t (x) WHERE x in (1, 2)", ""],
  ["not an index", ""],
  ["CREATE INDEX a ON t ()", ""],
])("parse and build %p", (text, expected) => {
  expect(buildIndex(parseIndex(text))).toBe(expected);
});

test("singleUniqueIndex looks past case and WHERE, not past other columns", () => {
  const indexes = [
    "CREATE UNIQUE INDEX a ON t (x, y)",
    "CREATE INDEX b ON t (y)",
    "CREATE UNIQUE INDEX c ON t (`Y`) WHERE y != ''",
  ];
  expect(singleUniqueIndex(indexes, "y")?.indexName).toBe("c");
  expect(singleUniqueIndex(indexes, "x")).toBeUndefined();
});

test.each<[string, [string, string][], [string, string][]]>([
  [
    "select id, text from demo1",
    [
      ["id", "id"],
      ["text", "text"],
    ],
    [["demo1", "demo1"]],
  ],
  [
    "SELECT view1.id, view1.bool as state, view1.file_many from view1\n;",
    [
      ["view1.id", "id"],
      ["view1.bool", "state"],
      ["view1.file_many", "file_many"],
    ],
    [["view1", "view1"]],
  ],
  [
    "select (ROW_NUMBER() OVER()) as id, count(*) n from `a` x left join b as y on y.id = x.b and (1,2)=(1,2) inner join c where 1 group by 2",
    [
      ["(ROW_NUMBER() OVER())", "id"],
      ["count(*)", "n"],
    ],
    [
      ["a", "x"],
      ["b", "y"],
      ["c", "c"],
    ],
  ],
  [
    "SELECT DISTINCT a.id,'x, from y' as t -- , z\n FROM a, (select 1 from q) sub /* , d */ ORDER BY 1",
    [
      ["a.id", "id"],
      ["'x, from y'", "t"],
    ],
    [
      ["a", "a"],
      ["(select 1 from q)", "sub"],
    ],
  ],
  ["(select id from a union select id from b)", [], []],
  ["with c as (select 1 as id) select c.id from c", [["c.id", "id"]], [["c", "c"]]],
])("parseViewQuery(%p)", (query, columns, tables) => {
  const parsed = parseViewQuery(query);
  expect(parsed.columns.map(({ original, alias }) => [original, alias] as [string, string])).toEqual(columns);
  expect(parsed.tables.map(({ original, alias }) => [original, alias] as [string, string])).toEqual(tables);
});

test.each([
  ["select id, a + b as c from t", "invalid identifier parts [a + b as c]"],
  ["select id from a union select id from b", 'invalid identifier part - expected "as", got union'],
  ["select a.id from a join b using (id)", 'invalid identifier part - expected "as", got using'],
  ["select id, (a from t", 'unbalanced parenthesis or quoted expression: "(a from t"'],
])("parseViewQuery(%p) is refused: a column with blanks must stand in parentheses", (query, message) => {
  expect(() => parseViewQuery(query)).toThrow(message);
});

test.each([
  "CREATE VIEW v AS SELECT * FROM (select 'a\\'; drop table t; --')",
  "CREATE INDEX a ON t (x) WHERE x = 1; attach database 'f' as g",
  "select 1; -- c",
])("oneStatement(%p) finds the second", (sql) => {
  expect(() => oneStatement(sql)).toThrow("multiple statements are not supported");
});

test("oneStatement looks past quotes and comments", () => {
  const sql = "select ';' as \";\", `;`, [;] -- ;\n /* ; */";
  expect(oneStatement(sql)).toBe(sql);
});

test("names in double braces and brackets are quoted, wherever they stand; parameters are not there", () => {
  expect(builtSql("SELECT {{a}}.[[id]], [[a.b c]], '{{x}}', [t], [[*]] FROM {{a}}")).toBe(
    "SELECT `a`.`id`, `a`.`b c`, '`x`', [t], [[*]] FROM `a`",
  );
  expect(() => builtSql("SELECT '{:x}'")).toThrow("Named parameter not found: x");
});
