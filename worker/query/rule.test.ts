import { afterAll, describe, expect, test } from "bun:test";
import { FilterError } from "../../shared/filter/error.ts";
import { openFixture } from "./fixture.ts";
import { compileCreateRule, matchesRule, selectById, selectByIds } from "./rule.ts";

const fixture = openFixture();
afterAll(() => fixture.close());
const { db } = fixture;

function context(name: string, user?: string) {
  return fixture.context(name, {
    kind: "rule",
    request: { auth: user === undefined ? null : fixture.auth(user) },
  });
}

describe("matchesRule", () => {
  test.each([
    ["posts", "p1", null, undefined, true],
    ["posts", "p1", "", undefined, true],
    ["posts", "none", "", undefined, false],
    ["posts", "p1", "author = @request.auth.id", "ann", true],
    ["posts", "p1", "author = @request.auth.id", "bob", false],
    ["posts", "p1", "author = @request.auth.id", undefined, false],
    ["posts", "p1", "editors.id ?= @request.auth.id", "bob", true],
    ["posts", "p1", "editors.id = @request.auth.id", "bob", false],
    [
      "posts",
      "p1",
      "@collection.comments.post ?= id && @collection.comments.by ?= @request.auth.id",
      "cat",
      true,
    ],
    [
      "posts",
      "p2",
      "@collection.comments.post ?= id && @collection.comments.by ?= @request.auth.id",
      "cat",
      false,
    ],
    ["posts", "p2", "author.password = 'x'", undefined, true],
    ["summaries", "p1", "views > 5", undefined, true],
  ] as const)("%s %s: %p for %p", (name, id, rule, user, expected) => {
    expect(matchesRule(db, context(name, user), rule, id)).toBe(expected);
  });

  test("throws for a rule that cannot be resolved", () => {
    expect(() => matchesRule(db, context("posts"), "nothing = 1", "p1")).toThrow(FilterError);
  });
});

test("selectById returns the row, once and only when the rule holds", () => {
  const rule = "editors.name ?= 'Bob' || editors.name ?= 'Ann'";
  const found = selectById(context("posts"), rule, "p1");
  expect(db.all(found.sql, found.params)).toMatchObject([{ id: "p1", views: 10 }]);
  const other = selectById(context("posts"), "views > 10", "p1");
  expect(db.all(other.sql, other.params)).toEqual([]);
});

test("selectByIds returns each row once", () => {
  const ids = (rule: string | null, wanted: string[]) => {
    const { sql, params } = selectByIds(context("posts"), rule, wanted);
    return db
      .all(sql, params)
      .map((row) => String(row["id"]))
      .toSorted();
  };
  expect(ids(null, ["p1", "p3", "none", "p1"])).toEqual(["p1", "p3"]);
  expect(ids("editors.verified ?= true || editors.verified ?= false", ["p1", "p3"])).toEqual(["p1"]);
  expect(ids("", [])).toEqual([]);
});

describe("compileCreateRule", () => {
  const row = {
    id: "new",
    title: "fresh",
    views: 3,
    tags: '["red","blue"]',
    author: "ann",
    editors: '["ann"]',
    meta: "{}",
  };
  const holds = (
    rule: string,
    user?: string,
    values: Record<string, string | number | boolean> = row,
    name = "posts",
  ) => {
    const { sql, params } = compileCreateRule(context(name, user), rule, values);
    return db.get(sql, params) !== undefined;
  };

  test.each([
    ["", undefined, true],
    ["title = 'fresh' && views = 3", undefined, true],
    ["author = @request.auth.id", "ann", true],
    ["author = @request.auth.id", "bob", false],
    ["author.company.country = 'NO'", undefined, true],
    ["editors.name = 'Ann'", undefined, true],
    ["tags:each = 'red'", undefined, false],
    ["tags:each ?= 'red'", undefined, true],
    ["tags:length = 2", undefined, true],
    ["kind = ''", undefined, true],
    ["@collection.posts.title ?= title", undefined, false],
    ["@collection.posts.author ?= author", undefined, true],
  ] as const)("%p for %p", (rule, user, expected) => expect(holds(rule, user)).toBe(expected));

  test("takes verified for false", () => {
    expect(holds("verified = true", undefined, { id: "x", verified: true }, "users")).toBe(false);
    expect(holds("verified = false", undefined, { id: "x", verified: true }, "users")).toBe(true);
  });

  test("refuses a back relation of the unsaved record", () => {
    expect(() => holds("comments_via_post.id = ''")).toThrow(FilterError);
  });

  test("values are the next record's when the plan is used again", () => {
    expect(holds("title = 'a'", undefined, { ...row, title: "a" })).toBe(true);
    expect(holds("title = 'a'", undefined, { ...row, title: "b" })).toBe(false);
  });
});
