import { afterAll, describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { FilterError } from "../../shared/filter/error.ts";
import { parseFilter } from "../../shared/filter/parse.ts";
import { compileFilter } from "./filter.ts";
import { COLLECTIONS, openFixture } from "./fixture.ts";
import { buildList } from "./list.ts";

const fixture = openFixture();
afterAll(() => fixture.close());
const { db } = fixture;

function ids(statement: { sql: string; params: Parameters<typeof db.all>[1] } | undefined): string {
  return db
    .all(statement?.sql ?? "", statement?.params)
    .map((row) => String(row["id"]))
    .join(" ");
}

describe("buildList", () => {
  test("pages", () => {
    const page = (page: number, perPage: number) =>
      buildList(fixture.context("posts"), { sort: "id", page, perPage });
    expect(ids(page(1, 3).items)).toBe("p1 p2 p3");
    expect(ids(page(1, 2).items)).toBe("p1 p2");
    expect(ids(page(2, 3).items)).toBe("p4");
    expect(ids(page(9, 3).items)).toBe("");
    expect(page(0, 0)).toMatchObject({ page: 1, perPage: 30 });
    expect(page(-4, 5_000)).toMatchObject({ page: 1, perPage: 1_000 });
    expect(ids(page(Number.MAX_SAFE_INTEGER, 100).items)).toBe("");
    expect(ids(page(2 ** 63, 30).items)).toBe("p1 p2 p3 p4");
  });

  test("a list of everything has the columns that are asked for, whatever was asked for before", () => {
    const list = (columns?: string): string => buildList(fixture.context("posts"), { columns }).items.sql;
    expect(list()).toStartWith('SELECT "posts".* FROM');
    expect(list('"posts"."id"')).toStartWith('SELECT "posts"."id" FROM');
    expect(list()).toStartWith('SELECT "posts".* FROM');
  });

  test("without a sort the order is that of the whole table, whatever columns are asked for", () => {
    const list = (columns?: string, sort?: string): string =>
      buildList(fixture.context("posts"), { filter: "author.name != 'x'", columns, sort }).items.sql;
    expect(list()).toStartWith('SELECT DISTINCT "posts".* FROM "posts"');
    expect(list('"posts"."id"')).toStartWith('SELECT "posts"."id" FROM (SELECT DISTINCT "posts".* FROM');
    expect(list('"posts"."id"')).toEndWith('LIMIT 30) AS "posts"');
    expect(list('"posts"."id"', "id")).toStartWith('SELECT "posts"."id" FROM "posts"');
  });

  test("counts all pages, or not at all", () => {
    const { count } = buildList(fixture.context("posts"), { perPage: 1, filter: "views > 0" });
    expect(db.values(count?.sql ?? "", count?.params)).toEqual([[3]]);
    expect(buildList(fixture.context("posts"), { skipTotal: true }).count).toBeUndefined();
  });

  test("holds rows to the rule besides the filter, and the rule may use what the client may not", () => {
    const context = fixture.context("posts", { allowHidden: false, request: { auth: fixture.auth("bob") } });
    const rule = "editors.id ?= @request.auth.id && author.password = 'x'";
    expect(ids(buildList(context, { rule, sort: "id" }).items)).toBe("p1 p2");
    expect(ids(buildList(context, { rule, filter: "views > 0" }).items)).toBe("p1");
    // OR in the filter stays inside the filter.
    expect(ids(buildList(context, { rule, filter: "views > 0 || id != ''", sort: "id" }).items)).toBe(
      "p1 p2",
    );
  });

  test("makes one statement of filters that differ in their values", () => {
    const sql = (filter: string) => buildList(fixture.context("posts"), { filter }).items;
    expect(sql("title = 'a' && views > 1").sql).toBe(sql("title='b'&&views>-2").sql);
    expect(sql("title ~ 'a' && views > 1").params).toEqual(["%a%", 1]);
    expect(sql("title ~ 'b%' && views > 2").params).toEqual(["b%", 2]);
    expect(sql("title = ''").sql).not.toBe(sql("title = 'x'").sql);
  });

  test("makes a plan of its own for each kind of request", () => {
    const rule = "@request.auth.id = author && @request.body.kind:isset = false";
    const list = (user: string | undefined, body: Record<string, unknown>) =>
      ids(
        buildList(
          fixture.context("posts", {
            request: { body, auth: user === undefined ? null : fixture.auth(user) },
          }),
          { rule },
        ).items,
      );
    for (let round = 0; round < 3; round += 1) {
      expect(list("ann", {})).toBe("p1");
      expect(list("bob", {})).toBe("p2");
      expect(list(undefined, {})).toBe("p3");
      expect(list("ann", { kind: "x" })).toBe("");
    }
  });

  test("looks for repeated rows only where a join may repeat them", () => {
    const sorted = (filter: string) => buildList(fixture.context("posts"), { filter, sort: "id" });
    expect(sorted("author.company.name = 'Acme'").items.sql).not.toContain("DISTINCT");
    expect(sorted("author.company.name = 'Acme'").count?.sql).toContain("COUNT(*)");
    expect(sorted("editors.name ?~ 'n'").items.sql).toContain("DISTINCT");
    expect(ids(sorted("editors.name ?~ 'n' || editors.name ?~ 'b'").items)).toBe("p1 p2 p4");
  });

  test("without a sort returns joined rows in the order of the id, as PocketBase does", () => {
    db.exec("INSERT INTO companies VALUES ('z', 'x', '', ''), ('b', 'x', '', ''), ('m', 'x', '', '')");
    const request = { auth: fixture.auth("ann") };
    const list = (filter: string) =>
      ids(buildList(fixture.context("companies", { request }), { filter }).items);
    expect(list("name = 'x'")).toBe("z b m");
    expect(list("name = 'x' && users_via_company.id = ''")).toBe("b m z");
    expect(list("name = 'x' && @request.auth.role = 'admin'")).toBe("b m z");
    db.exec("DELETE FROM companies WHERE name = 'x'");
  });

  test("reads what does not depend on the row once", () => {
    const { items } = buildList(fixture.context("posts", { request: { auth: fixture.auth("ann") } }), {
      rule: "@request.auth.company.country = 'NO'",
      sort: "id",
    });
    expect(items.sql).not.toContain('FROM "posts" LEFT JOIN');
    expect(ids(items)).toBe("p1 p2 p3 p4");
  });
});

test("compileFilter gives the parts of a statement", () => {
  const context = fixture.context("posts", { kind: "rule", request: { auth: fixture.auth("ann") } });
  const filter = compileFilter("editors.id ?= @request.auth.id && @request.auth.groups.level ?= 2", context);
  const sql = `SELECT DISTINCT posts.id FROM posts${filter.joins.sql} WHERE ${filter.where} AND posts.views > ?`;
  const rows = db.values(sql, [...filter.joins.params, ...filter.params, 7]);
  expect(rows).toEqual([["p1"]]);
  expect(filter.distinct).toBe(true);
});

test("compileFilter refuses a client's reserved names in a parsed filter too", () => {
  const context = fixture.context("posts", { allowHidden: false });
  expect(() => compileFilter(parseFilter("@collection.users.id = 1"), context)).toThrow("Only superusers");
  expect(compileFilter(parseFilter("views = 1"), context).params).toEqual([1]);
});

/** Filters over everything the fixture has, most of them of the right grammar and many of known names. */
const names = fc.oneof(
  fc.constantFrom(
    "null",
    "true",
    "@now",
    "@request.auth.id",
    "@request.auth.groups.name",
    "@request.body.editors.name",
    "@request.body.tags:each",
    "@request.body.title:changed",
    "@request.query.x:isset",
    "@collection.users.name",
    "@collection.users:x.groups.level",
    "comments_via_post.by.email",
    "author.posts_via_editors.tags:each",
    "meta.a.0",
    "place.lon",
  ),
  fc.constantFrom(...COLLECTIONS.flatMap(({ fields }) => fields.map((field) => field.name))),
  fc
    .tuple(
      fc.constantFrom("author", "editors", "company", "groups", "user"),
      fc.constantFrom("name", "id", "email", "groups.id", "tags:each"),
    )
    .map((parts) => parts.join(".")),
  fc.string(),
);
const text = fc.string().map((value) => `'${value.replaceAll("'", "\\'")}'`);
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value.toFixed(3));
const modified = fc
  .tuple(names, fc.constantFrom("", ":lower", ":each", ":length", ":isset", ":changed"))
  .map((parts) => parts.join(""));
const call = fc.tuple(names, names, number).map(([a, b, c]) => `geoDistance(${a}, ${b}, ${c}, 1)`);
const time = fc.tuple(text, names).map(([format, name]) => `strftime(${format}, ${name})`);
const side = fc.oneof({ arbitrary: modified, weight: 4 }, text, number, call, time);
const operator = fc.constantFrom("=", "!=", ">", ">=", "<", "<=", "~", "!~", "?=", "?!=", "?>", "?~", "?!~");
const comparison = fc.tuple(side, operator, side).map((parts) => parts.join(" "));
const filters = fc.letrec<{ filter: string }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 4 },
    comparison,
    fc.tuple(tie("filter"), fc.constantFrom(" && ", " || "), tie("filter")).map((parts) => parts.join("")),
    tie("filter").map((inner) => `(${inner})`),
  ),
})).filter;

test("compiled SQL is always SQL, and the count agrees with the rows", () => {
  const request = {
    body: { editors: ["ann", "bob"], tags: ["red"], title: "x" },
    query: { x: "1" },
    auth: fixture.auth("ann"),
  };
  let compiled = 0;
  fc.assert(
    fc.property(
      filters,
      fc.constantFrom("posts", "users", "comments"),
      fc.boolean(),
      (filter, name, allowHidden) => {
        try {
          const list = buildList(fixture.context(name, { allowHidden, request }), { filter, perPage: 1_000 });
          const rows = db.values(list.items.sql, list.items.params).length;
          expect(db.values(list.count?.sql ?? "", list.count?.params)).toEqual([[rows]]);
          compiled += 1;
        } catch (error) {
          if (error instanceof FilterError) return;
          // What only shows when the statement runs, and is no mistake in it.
          if (
            error instanceof Error &&
            /64 tables|malformed JSON|LIKE or GLOB pattern too complex/.test(error.message)
          )
            return;
          throw error;
        }
      },
    ),
    { numRuns: 3_000 },
  );
  expect(compiled).toBeGreaterThan(100);
});
