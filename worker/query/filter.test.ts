import { afterAll, describe, expect, test } from "bun:test";
import { FilterError } from "../../shared/filter/error.ts";
import { openFixture } from "./fixture.ts";
import { buildList } from "./list.ts";

const fixture = openFixture();
afterAll(() => fixture.close());

type Overrides = Parameters<typeof fixture.context>[1];

/** The ids that a list returns, in id order unless sorted; the count must agree. */
function list(name: string, filter: string, overrides: Overrides = {}, sort?: string): string {
  const { items, count } = buildList(fixture.context(name, overrides), { filter, sort });
  const ids = fixture.db.all(items.sql, items.params).map((row) => String(row["id"]));
  expect(fixture.db.values(count?.sql ?? "", count?.params)[0]?.[0]).toBe(ids.length);
  return (sort === undefined ? ids.toSorted() : ids).join(" ");
}

describe("values", () => {
  test.each([
    ["title = 'delta'", "p4"],
    ["'delta' = title", "p4"],
    ["title != 'delta'", "p1 p2 p3"],
    ["title = ''", "p3"],
    ["title = null", "p3"],
    ["title != null", "p1 p2 p4"],
    ['title = "beta_it\'s"', "p2"],
    ["title = 'beta_it\\'s'", "p2"],
    ["views > 5", "p1 p4"],
    ["views >= 5 && views <= 7.0", "p3 p4"],
    ["views > -1 && views < 1", "p2"],
    ["active = true", "p1 p3 p4"],
    ["active = FALSE", "p2"],
    ["title ~ 'TA'", "p2 p4"],
    ["title !~ 'ta'", "p1 p3"],
    ["title ~ 'del%'", "p4"],
    ["title ~ '%a'", "p4"],
    ["title ~ '10%'", ""],
    ["title ~ '10\\%'", "p1"],
    ["title ~ 'a_i'", "p2"],
    ["'the delta of it' ~ title", "p3 p4"],
    ["title:lower = 'alpha 10%'", "p1"],
    ["1 = 1", "p1 p2 p3 p4"],
    ["'' = null", "p1 p2 p3 p4"],
    ["'a' = null", ""],
    ["kind = title", "p3"],
    ["title = 10", ""],
    ["views = '10'", "p1"],
  ])("%s", (filter, expected) => expect(list("posts", filter)).toBe(expected));
});

test("a number is no text, but may be looked for in one", () => {
  expect(list("profiles", "bio = 7")).toBe("");
  expect(list("profiles", "bio = '7'")).toBe("r3");
  expect(list("profiles", "bio ~ 7")).toBe("r3");
});

describe("chains", () => {
  test.each([
    ["views = 10 || views = 7 && kind = 'essay'", "p1"],
    ["(views = 10 || views = 7) && kind = 'news'", "p1 p4"],
    ["kind = 'essay' && views = 10 || views = 7", "p4"],
    ["((views = 7))", "p4"],
    ["// why\nviews = 7 // because\n|| views = 10", "p1 p4"],
    ["views=7||views=10&&views=10", "p1 p4"],
  ])("%s", (filter, expected) => expect(list("posts", filter)).toBe(expected));
});

describe("JSON, points and functions", () => {
  test.each([
    ["meta.a.b = 'x'", "p1"],
    ["meta.n = 1", "p1"],
    ["meta.n = '1'", ""],
    ["meta.list.1 = 6", "p1"],
    ["meta = 'plain'", "p2"],
    ["meta = null", "p3 p4"],
    ["meta != null", "p1 p2"],
    ["meta.missing = ''", ""],
    ["meta.missing = null", "p1 p2 p3 p4"],
    ["place.lon > 11", "p2"],
    ["geoDistance(place.lon, place.lat, 10.75, 59.9) < 2", "p1 p4"],
    ["geoDistance(place.lon, place.lat, 10.75, 59.9) > 6000", "p3"],
    ["strftime('%Y-%m', published) = '2024-02'", "p4"],
    ["strftime('%Y', published) = ''", "p3"],
    ["strftime('%Y', published, '+1 year') = '2024'", "p2"],
    ["strftime('%Y') > '2000'", "p1 p2 p3 p4"],
    // On the right of LIKE the values of a call are patterns, not its result.
    ["'2024' ~ strftime('%Y', published)", "p1 p4"],
    ["'x2024x' ~ strftime('%Y', published)", ""],
    ["title !~ strftime('%Y', published, '+1 day')", ""],
    ["title !~ strftime('%Y', comments_via_post.post.published, '+1 day')", "p1 p2"],
    ["title ?!~ strftime('%Y', comments_via_post.post.published, '+1 day')", ""],
    ["title !~ geoDistance(place.lon, place.lat, 1, 2)", ""],
    ["title !~ geoDistance(place.lon, place.lat, place.lon, place.lat)", "p1 p2 p3 p4"],
  ])("%s", (filter, expected) => expect(list("posts", filter)).toBe(expected));
});

describe("several values", () => {
  test.each([
    ["tags:length = 2", "p1"],
    ["tags:length = 0", "p3"],
    ["files:length > 1", "p4"],
    ["kind:length = 1", "p1 p2 p4"],
    ["tags:each = 'red'", "p2"],
    ["tags:each ?= 'red'", "p1 p2"],
    ["tags:each != 'red'", "p3 p4"],
    ["tags:each ?!= 'red'", "p1 p3 p4"],
    ["tags:each ~ 'e'", "p1 p2 p4"],
    ["tags:each > 'c'", "p1 p2"],
    ["tags ~ 'green'", "p1"],
  ])("%s", (filter, expected) => expect(list("posts", filter)).toBe(expected));
});

describe("relations", () => {
  test.each([
    ["author = 'ann'", "p1"],
    ["author.id = 'ann'", "p1"],
    ["author.name = 'Ann'", "p1"],
    ["author.company.country = 'SE'", "p2"],
    ["author.company.name = ''", "p3 p4"],
    ["author.groups.level = 1", "p2"],
    ["author.groups.level ?= 2", "p1"],
    ["editors.name = 'Bob'", "p2"],
    ["editors.name ?= 'Bob'", "p1 p2"],
    ["editors.name != 'Bob'", "p3 p4"],
    ["editors.id ?= 'ann' && editors.name ?= 'Bob'", ""],
    ["editors.name = editors.name", "p2 p3"],
    ["editors.company.country ?= 'NO'", "p1 p4"],
    ["editors ~ 'cat'", "p4"],
    ["author.company.country = 'NO' && editors.company.country ?= 'SE'", "p1"],
    ["author.name = 'Ann' && author.posts_via_author.author.posts_via_editors.id ?= 'p4'", "p1"],
    ["comments_via_post.text = 'good'", "p2"],
    ["comments_via_post.text ?= 'good'", "p1 p2"],
    ["comments_via_post.by.name ?= 'Cat'", "p1"],
    ["comments_via_post.id = ''", "p3 p4"],
    ["author.profiles_via_user.bio = 'writes'", "p1"],
    ["author.posts_via_editors.title ?= 'delta'", "p1 p4"],
  ])("%s", (filter, expected) => expect(list("posts", filter)).toBe(expected));

  test("of a view", () => expect(list("summaries", "views > 5")).toBe("p1 p4"));
});

describe("@collection", () => {
  test.each([
    ["@collection.companies.name ?= name", "acme bolt"],
    ["@collection.users.company ?= id && @collection.users.name ?= 'Ann'", "acme"],
    ["@collection.users.company ?= id && @collection.users:other.name ?= 'Ann'", "acme bolt"],
    ["@collection.users.company = id", ""],
    ["@collection.comments.score >= 0 && id = 'acme'", "acme"],
  ])("%s", (filter, expected) => expect(list("companies", filter)).toBe(expected));

  test("refuses one alias for two collections", () => {
    expect(() => list("companies", "@collection.users:x.id = 1 && @collection.posts:x.id = 1")).toThrow(
      FilterError,
    );
  });
});

describe("@request", () => {
  const request = {
    context: "realtime" as const,
    method: "POST",
    headers: { x_token: "T1" },
    query: { page: "7", deep: "x" },
    body: {
      title: "delta",
      views: "7",
      tags: ["red", "blue"],
      author: "bob",
      editors: ["ann", "bob"],
      nested: { list: [{ key: "v" }], nothing: null },
      flag: true,
    },
    auth: fixture.auth("ann"),
  };
  const all = "p1 p2 p3 p4";

  test.each([
    ["@request.context = 'realtime'", all],
    ["@request.method = 'GET'", ""],
    ["@request.headers.x_token = 'T1'", all],
    ["@request.headers.x_other = ''", all],
    ["@request.query.page = 7", ""],
    ["@request.query.page = '7'", all],
    ["@request.query.deep:isset = true", all],
    ["@request.query.none:isset = true", ""],
    ["@request.body.nested.list.0.key = 'v'", all],
    ["@request.body.nested.nothing:isset = true", all],
    ["@request.body.nested.nothing = null", all],
    ["@request.body.flag = true", all],
    ["@request.body.title = title", "p4"],
    ["@request.body.views = views", "p4"],
    ["@request.body.views > 6", all],
    ["@request.body.title:changed = true", "p1 p2 p3"],
    ["@request.body.title:changed = false", "p4"],
    ["@request.body.kind:changed = false", all],
    ["@request.body.title:lower = 'delta'", all],
    ["@request.body.tags:length = 2", all],
    ["@request.body.files:length = 0", all],
    ["@request.body.tags:each = 'red'", ""],
    ["@request.body.tags:each ?= 'red'", all],
    ["@request.body.tags:each ~ '%'", all],
    ["@request.body.author.name = 'Bob'", all],
    ["@request.body.author.company.country = 'NO'", ""],
    ["@request.body.author.posts_via_author.id ?= id", "p2"],
    ["@request.body.editors.name = 'Ann'", ""],
    ["@request.body.editors.name ?= 'Ann'", all],
    ["@request.body.editors.verified ?= true && author = 'ann'", "p1"],
    ["@request.auth.id = author", "p1"],
    ["@request.auth.id != ''", all],
    ["@request.auth.collectionName = 'users'", all],
    ["@request.auth.email = 'ann@a.no'", all],
    ["@request.auth.role = 'admin' && views > 5", "p1 p4"],
    ["@request.auth.company.country = 'NO'", all],
    ["@request.auth.groups.level ?= 2", all],
    ["@request.auth.groups.level = 2", ""],
    ["@request.auth.groups:each ?= 'g2'", all],
    ["@request.auth.groups:length = 2", all],
    ["@request.auth.posts_via_author.id ?= id", "p1"],
    ["@request.auth.profiles_via_user.bio = 'writes'", all],
    ["@request.auth.nothing = ''", all],
    ["@request.auth.password = 'x'", all],
  ])("%s", (filter, expected) => expect(list("posts", filter, { request })).toBe(expected));

  test.each([
    ["@request.auth.id = ''", all],
    ["@request.auth.id != ''", ""],
    ["@request.auth.company.name = ''", all],
    ["@request.body.author.name = ''", all],
    ["@request.auth.id = author", "p3"],
  ])("%s of a guest", (filter, expected) => expect(list("posts", filter)).toBe(expected));
});

describe("macros", () => {
  test.each([
    ["published >= @todayStart && published <= @todayEnd", "p4"],
    ["published > @monthStart && published < @monthEnd", "p4"],
    ["published >= @yearStart && published <= @yearEnd", "p1 p4"],
    ["published > @yesterday && published < @now", "p4"],
    ["@tomorrow = '2024-03-01 13:14:15.500Z'", "p1 p2 p3 p4"],
    ["@now = '2024-02-29 13:14:15.500Z'", "p1 p2 p3 p4"],
    ["@monthEnd = '2024-02-29 23:59:59.999Z'", "p1 p2 p3 p4"],
    ["@year = 2024 && @month = 2 && @day = 29 && @weekday = 4", "p1 p2 p3 p4"],
    ["@hour = 13 && @minute = 14 && @second = 15", "p1 p2 p3 p4"],
  ])("%s", (filter, expected) => expect(list("posts", filter)).toBe(expected));
});

describe("a client that is no superuser", () => {
  const client = { allowHidden: false };

  test.each([
    ["users", "email ~ '@'", "ann"],
    ["users", "email != 'nobody'", "ann"],
    ["users", "verified = true", "ann cat"],
    ["posts", "author.email = 'ann@a.no'", "p1"],
    ["posts", "author.email = 'bob@b.se'", ""],
    ["posts", "author.company.name = 'Acme'", "p1"],
    // The list rule of comments must hold for the joined row.
    ["posts", "comments_via_post.text ?= 'good'", "p1 p2"],
    ["posts", "comments_via_post.text ?= 'bad'", ""],
  ])("%s: %s", (name, filter, expected) => expect(list(name, filter, client)).toBe(expected));

  test.each([
    ["users", "password = 'x'", "invalid"],
    ["posts", "author.password = 'x'", "invalid"],
    ["companies", "secret = 'gold'", "invalid"],
    ["posts", "author.company.secret = 'gold'", "invalid"],
    ["posts", "author.groups.level > 0", "invalid"],
    ["posts", "title = '@request.x'", "forbidden"],
    ["posts", "@collection.users.id = 1", "forbidden"],
  ])("%s: %s is refused", (name, filter, kind) => {
    let thrown: unknown;
    try {
      list(name, filter, client);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(FilterError);
    expect((thrown as FilterError).kind).toBe(kind as FilterError["kind"]);
  });

  test("is refused with PocketBase's text", () => {
    expect(() => list("posts", "@request.auth.id = 1", client)).toThrow(
      "Only superusers can filter by @request.",
    );
  });

  test("may use the id of a relation whose collection it may not list", () => {
    expect(list("users", "groups ~ 'g2'", client)).toBe("ann");
  });
});

describe("errors", () => {
  test.each([
    "nothing = 1",
    "title.sub = 1",
    "author.nothing = 1",
    "posts_via_author.id = 1",
    "comments_via_by.id = 1",
    "author..name = 1",
    "meta..a = 1",
    "title:unknown = 1",
    "#title = 1",
    "@request = 1",
    "@request.other = 1",
    "@collection.nothing.id = 1",
    "@collection.users = 1",
    "@nothing = 1",
    "unknown(1) = 1",
    "geoDistance(1, 2, 3) = 1",
    "geoDistance(1, 2, 3, 'a') = 1",
    "strftime() = 1",
    "strftime(title) = 1",
    "strftime('%Y', published, title) = 1",
    "strftime('%Y', strftime('%Y')) = 1",
    "@request.body.title:each = 1",
    "@request.query.x:each = 1",
    "author.posts_via_author.author.posts_via_author.author.posts_via_author.author.name = 1",
  ])("%s", (filter) => expect(() => list("posts", filter)).toThrow(FilterError));

  test("tell the place", () => {
    expect(() => list("posts", "views = 1 && nothing = 2")).toThrow("at character 14");
    expect(() => list("posts", "views = 1 && views = nothing")).toThrow("at character 22");
  });

  test("hold client text to its limits, counted in bytes", () => {
    expect(() => list("posts", `title = '${"x".repeat(3_500)}'`)).toThrow("3500");
    expect(() => list("posts", `title = '${"ü".repeat(1_750)}'`)).toThrow("3500");
    expect(list("posts", `title = '${"ü".repeat(1_740)}'`)).toBe("");
  });

  test("six relations are not too many", () => {
    const path = "author.posts_via_author.author.posts_via_author.author.posts_via_author.title";
    expect(list("posts", `${path} ?= 'delta'`)).toBe("p4");
  });
});

describe("sort", () => {
  test.each([
    ["-views", "p1 p4 p3 p2"],
    ["+active,-title", "p2 p4 p1 p3"],
    ["author.name,id", "p3 p1 p2 p4"],
    ["-author.company.country, -id", "p2 p1 p4 p3"],
    ["@rowid", "p1 p2 p3 p4"],
    ["-@rowid", "p4 p3 p2 p1"],
    ["-meta.n,id", "p1 p2 p3 p4"],
    ["title:lower", "p3 p1 p2 p4"],
  ])("%s", (sort, expected) => expect(list("posts", "", {}, sort)).toBe(expected));

  test("@random returns all", () => {
    expect(list("posts", "", {}, "@random").split(" ").toSorted().join(" ")).toBe("p1 p2 p3 p4");
  });

  test("by a relation with several rows keeps each record once", () => {
    expect(list("posts", "", {}, "-comments_via_post.score,id").split(" ")).toHaveLength(4);
  });

  test.each([
    "nothing",
    "",
    "-title,",
    "null",
    "true",
    "@request.method",
    "--title",
    "@now",
    "a,b,c,d,e,f,g,h,i",
  ])("%p is refused", (sort) => expect(() => list("posts", "", {}, sort || " ")).toThrow(FilterError));

  test("by what the client may not list is refused", () => {
    expect(() => list("users", "", { allowHidden: false }, "groups.level")).toThrow(FilterError);
    expect(() => list("users", "", { allowHidden: false }, "password")).toThrow(FilterError);
    expect(() => list("summaries", "", {}, "@rowid")).toThrow(FilterError);
  });

  test("by a guarded relation sees what is listed, and what has no related row", () => {
    expect(list("posts", "", { allowHidden: false }, "comments_via_post.score")).toBe("p3 p4 p2 p1");
  });
});
