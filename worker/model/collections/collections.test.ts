import { expect, test } from "bun:test";
import type { RecordData, ValidationFailure } from "../contract.ts";
import { recordToJson } from "../records/to-json.ts";
import { failureOf, textField, useTestModel } from "../testing.ts";

const { model, inTx, named, createCollection, updateCollection, save, find, count, schemaSql } =
  useTestModel();

test("a new collection has PocketBase's ids, columns in alphabetical order and its indexes", () => {
  const made = createCollection({
    name: "posts",
    fields: [textField("title"), { type: "number", name: "n" }, { type: "bool", name: "a" }],
    indexes: ["create unique index idx_t on whatever (title) where title != ''"],
  });
  expect(made.id).toBe("pbc_1125843985");
  expect(made.fields.slice(0, 2).map(({ id, name }) => [id, name])).toEqual([
    ["text3208210256", "id"],
    ["text724990059", "title"],
  ]);
  expect(schemaSql("posts")).toBe(
    "CREATE TABLE `posts` (`a` BOOLEAN DEFAULT FALSE NOT NULL, `id` TEXT PRIMARY KEY DEFAULT ('r'||lower(hex(randomblob(7)))) NOT NULL, `n` NUMERIC DEFAULT 0 NOT NULL, `title` TEXT DEFAULT '' NOT NULL)",
  );
  expect(made.indexes).toEqual(["CREATE UNIQUE INDEX `idx_t` ON `posts` (`title`) WHERE title != ''"]);
  expect(schemaSql("idx_t")).toBe(made.indexes[0]);
  expect(model().schema.find("POSTS")?.id).toBe(made.id);
});

test("an id made from the name gets a number when it is taken, and default index names follow", () => {
  const first = createCollection({ type: "auth", name: "members" });
  updateCollection("members", { name: "people" });
  const second = createCollection({ type: "auth", name: "members" });
  expect(second.id).toBe(`${first.id}2`);
  expect(second.indexes[0]).toBe(
    `CREATE UNIQUE INDEX \`idx_tokenKey_${first.id}2\` ON \`members\` (\`tokenKey\`)`,
  );
});

/** input, errors */
test.each<[Record<string, unknown>, unknown]>([
  [{ name: "" }, { name: "validation_required" }],
  [{ name: "a b" }, { name: "validation_match_invalid" }],
  [{ name: "a_via_b" }, { name: "validation_found_via" }],
  [{ name: "USERS" }, { name: "validation_collection_name_exists" }],
  [{ name: "_pb_users_auth_" }, { name: "validation_collection_name_id_duplicate" }],
  [{ name: "_params" }, { name: "validation_collection_name_invalid" }],
  [{ name: "x", type: "odd" }, { type: "validation_in_invalid" }],
  [{ name: "x", id: "_pb_users_auth_" }, { id: "validation_invalid_or_existing_id" }],
  [{ name: "x", listRule: "missing = 1" }, { listRule: "validation_invalid_rule" }],
  [
    { name: "x", fields: [textField("a"), textField("A", { id: "b" })] },
    { fields: { 2: { name: "validation_duplicated_field_name" } } },
  ],
  [{ name: "x", fields: [textField("")] }, { fields: { 1: { name: "validation_required" } } }],
  [
    { name: "x", fields: [{ type: "bool", name: "id" }] },
    { fields: { 1: { name: "validation_duplicated_field_name" } } },
  ],
  [{ name: "x", indexes: ["nonsense"] }, { indexes: { 0: "validation_invalid_index_expression" } }],
  [
    { name: "x", indexes: ["create index a on x (missing)"] },
    { indexes: { 0: "validation_invalid_index_expression" } },
  ],
  [
    { name: "x", indexes: ["create index a on x (id)", "create index A on x (id, id)"] },
    { indexes: { 1: "validation_duplicated_index_name" } },
  ],
  [
    { name: "x", indexes: ["create index idx_email__pb_users_auth_ on x (id)"] },
    { indexes: { 0: "validation_existing_index_name" } },
  ],
  [
    { name: "x", type: "view" },
    { fields: "validation_required", viewQuery: "validation_required" },
  ],
  [
    { name: "x", type: "view", viewQuery: "select 1 as a" },
    { fields: "validation_missing_primary_key", viewQuery: "validation_invalid_view_query" },
  ],
  [
    { name: "x", type: "view", viewQuery: "select id from users; drop table users" },
    { fields: "validation_required", viewQuery: "validation_invalid_view_query" },
  ],
  [
    { name: "x", type: "view", viewQuery: "select id from users", createRule: "" },
    { createRule: "validation_nil" },
  ],
  [{ name: "x", type: "auth", manageRule: "" }, { manageRule: "validation_nil_or_not_empty_required" }],
  [
    { name: "x", type: "auth", mfa: { enabled: true } },
    { mfa: { enabled: "validation_mfa_not_enough_auths" } },
  ],
  [
    { name: "x", type: "auth", passwordAuth: { identityFields: ["nick"] } },
    { passwordAuth: { identityFields: "validation_missing_field" } },
  ],
  [
    { name: "x", type: "auth", fields: [textField("nick")], passwordAuth: { identityFields: ["nick"] } },
    { passwordAuth: { identityFields: "validation_missing_unique_constraint" } },
  ],
  [
    { name: "x", type: "auth", fields: [textField("oldPassword")] },
    { fields: { 1: { name: "validation_reserved_field_name" } } },
  ],
  [
    { name: "x", type: "auth", authToken: { duration: 1, secret: "short" } },
    {
      authToken: {
        duration: "validation_min_greater_equal_than_required",
        secret: "validation_length_out_of_range",
      },
    },
  ],
  [
    {
      name: "x",
      type: "auth",
      oauth2: { enabled: true, providers: [{ name: "nobody" }] },
    },
    {
      oauth2: {
        providers: {
          0: {
            name: "validation_missing_provider",
            clientId: "validation_required",
            clientSecret: "validation_required",
          },
        },
      },
    },
  ],
])("createCollection(%p) is refused", (input, expected) => {
  expect(failureOf(() => createCollection(input))).toEqual(expected);
  expect(model().schema.find("x")).toBeUndefined();
});

test("a refused change leaves schema, table and rows as they were", async () => {
  createCollection({ name: "posts", fields: [textField("title")] });
  await save("posts", { title: "a" });
  await save("posts", { title: "a" });
  const before = model().schema;
  const indexes = ["CREATE UNIQUE INDEX u ON posts (title)"];
  expect(failureOf(() => updateCollection("posts", { indexes, name: "other" }))).toEqual({
    indexes: { 0: "validation_invalid_index_expression" },
  });
  expect(model().schema).toBe(before);
  expect(count("posts")).toBe(2);
});

test("updateCollection merges objects, keeps secrets, renames, adds, drops and swaps columns", async () => {
  const made = createCollection({ name: "posts", fields: [textField("a"), textField("b"), textField("c")] });
  const record = await save("posts", { a: "1", b: "2", c: "3" });
  const [id, a, b] = made.fields;
  const changed = updateCollection("posts", {
    name: "articles",
    fields: [id, { ...a, name: "b" }, { ...b, name: "a" }, { type: "number", name: "d" }],
    indexes: ["CREATE INDEX i ON posts (b)"],
  });
  expect(changed.indexes).toEqual(["CREATE INDEX `i` ON `articles` (`b`)"]);
  expect(find("articles", record.id)?.values).toEqual({ id: record.id, b: "1", a: "2", d: 0 });

  const secret = (named("users").options["authToken"] as { secret: string }).secret;
  const users = updateCollection("users", { otp: { enabled: true }, authToken: { duration: 100 } });
  expect(users.options["otp"]).toMatchObject({ enabled: true, duration: 180, length: 8 });
  expect(users.options["authToken"]).toEqual({ secret, duration: 100 });
});

test("a field without id has the id of its type and name, and is another one than a stored one with its own", async () => {
  const made = createCollection({
    name: "posts",
    fields: [textField("a", { id: "custom" }), textField("b")],
  });
  const record = await save("posts", { a: "gone", b: "kept" });
  const changed = updateCollection("posts", { fields: [textField("a", { max: 10 }), textField("b")] });
  expect(changed.fields.map(({ id }) => id)).toEqual([
    made.fields[0]?.id ?? "",
    "text3904355907",
    made.fields[2]?.id ?? "",
  ]);
  expect(find("posts", record.id)?.values).toMatchObject({ a: "", b: "kept" });
});

test("a changed auth rule ends the tokens that were issued under the old one", () => {
  const secret = (): string => (named("users").options["authToken"] as { secret: string }).secret;
  const before = secret();
  updateCollection("users", { name: "users" });
  expect(secret()).toBe(before);
  updateCollection("users", { authRule: "verified = true" });
  expect(secret()).not.toBe(before);
});

test("system collections keep name, rules, flags, fields and unique indexes", () => {
  const superusers = named("_superusers");
  expect(failureOf(() => updateCollection("_superusers", { name: "x" }))).toMatchObject({
    name: "validation_collection_system_name_change",
  });
  expect(failureOf(() => updateCollection("_superusers", { listRule: "" }))).toEqual({
    listRule: "validation_collection_system_rule_change",
  });
  expect(failureOf(() => updateCollection("users", { system: true, type: "base" }))).toMatchObject({
    system: "validation_collection_system_flag_change",
    type: "validation_collection_type_change",
  });
  expect(
    failureOf(() =>
      updateCollection("users", {
        fields: superusers.fields.map((f) => (f.name === "email" ? { ...f, name: "mail" } : f)),
      }),
    ),
  ).toMatchObject({ fields: "validation_system_field_change" });
  expect(failureOf(() => updateCollection("_otps", { fields: [] }))).toMatchObject({
    fields: "validation_system_field_change",
  });
  expect(failureOf(() => updateCollection("_externalAuths", { indexes: [] }))).toEqual({
    indexes: "validation_invalid_unique_system_field_index",
  });
  expect(() => inTx((tx) => model().deleteCollection(tx, superusers))).toThrow(
    "system collections cannot be deleted",
  );
});

test("queries of views and indexes know PocketBase's names in double braces and brackets", () => {
  createCollection({
    name: "posts",
    type: "base",
    fields: [textField("title")],
    indexes: ["create index idx_named on posts (lower([[title]])) where [[title]] != ''"],
  });
  const viewQuery = "select [[id]], [[title]] from posts";
  const view = createCollection({ name: "named", type: "view", viewQuery });
  expect(view.fields.map(({ name, type }) => [name, type])).toEqual([
    ["id", "text"],
    ["title", "text"],
  ]);
  expect(view.options["viewQuery"]).toBe(viewQuery);
});

test("a view infers its fields from the query and follows its sources", async () => {
  createCollection({
    name: "posts",
    fields: [
      textField("title"),
      { type: "number", name: "n" },
      { type: "relation", name: "by", collectionId: "_pb_users_auth_" },
    ],
  });
  const view = createCollection({
    name: "stats",
    type: "view",
    viewQuery:
      "SELECT (ROW_NUMBER() OVER()) as id, p.title, u.id as owner, count(*) as total, cast(p.n as int) as whole, cast(p.n as text) t, (p.n + 1) as more, p.by FROM posts p LEFT JOIN users u ON u.id = p.by GROUP BY p.id",
  });
  expect(view.fields.map(({ name, type }) => [name, type])).toEqual([
    ["id", "text"],
    ["title", "text"],
    ["owner", "relation"],
    ["total", "number"],
    ["whole", "number"],
    ["t", "text"],
    ["more", "json"],
    ["by", "relation"],
  ]);
  expect(view.fields.find(({ name }) => name === "owner")).toMatchObject({
    maxSelect: 1,
    collectionId: "_pb_users_auth_",
  });
  await save("posts", { title: "x", n: 2 });
  expect(recordToJson(find("stats", "1") as RecordData)).toEqual({
    by: "",
    collectionId: view.id,
    collectionName: "stats",
    id: "1",
    more: 3,
    owner: "",
    t: "2",
    title: "x",
    total: 1,
    whole: 2,
  });
  const [id, title, ...rest] = named("posts").fields;
  updateCollection("posts", { fields: [id, { ...title, max: 7 }, ...rest] });
  expect(named("stats").fields.find(({ name }) => name === "title")).toMatchObject({ max: 7 });
  expect(() => inTx((tx) => model().deleteCollection(tx, named("posts")))).toThrow("view dependency");
  expect(count("posts")).toBe(1);
});

test("deleteCollection refuses referenced collections and takes the references of auth records along", async () => {
  createCollection({ type: "auth", name: "members" });
  createCollection({
    name: "posts",
    fields: [{ type: "relation", name: "by", collectionId: named("members").id }],
  });
  const member = await save("members", { email: "a@b.co", password: "12345678" });
  await save("_authOrigins", { collectionRef: named("members").id, recordRef: member.id, fingerprint: "f" });
  expect(() => inTx((tx) => model().deleteCollection(tx, named("members")))).toThrow(
    "[members] failed to delete due to existing relation references: posts",
  );
  inTx((tx) => model().deleteCollection(tx, named("posts")));
  inTx((tx) => model().deleteCollection(tx, named("members")));
  expect([model().schema.find("members"), schemaSql("members"), count("_authOrigins")]).toEqual([
    undefined,
    undefined,
    0,
  ]);
});

test("an imported field of the name and type of a stored one, but another id, takes its place and nothing else", async () => {
  const [a, b] = [textField("a", { id: "xa", max: 9 }), textField("b", { id: "xb" })];
  createCollection({ name: "posts", fields: [a, b] });
  const record = await save("posts", { a: "kept", b: "moved" });
  const importFields = (...fields: unknown[]): string[] => {
    inTx((tx) => model().importCollections(tx, [{ name: "posts", fields }], false));
    return named("posts").fields.map(({ name, id, max }) => `${name} ${id} ${String(max)}`);
  };
  const id = "id text3208210256 15";
  expect(importFields(textField("b"), textField("a", { id: "other", max: 3 }))).toEqual([
    "b xb 0",
    "a xa 9",
    id,
  ]);
  expect(importFields(textField("c", { id: "xb" }), textField("b"))).toEqual([
    "c xb 0",
    "b text1908338681 0",
    "a xa 9",
    id,
  ]);
  expect(find("posts", record.id)?.values).toMatchObject({ a: "kept", b: "", c: "moved" });
});

test("importCollections saves all or nothing, views last, and can delete what is missing", () => {
  createCollection({ name: "old" });
  createCollection({ name: "posts", fields: [textField("a"), textField("b")] });
  const inputs = [
    { name: "v", type: "view", viewQuery: "select id, a from posts" },
    { id: named("posts").id, name: "posts", fields: [textField("a"), textField("c")] },
  ];
  inTx((tx) => model().importCollections(tx, inputs, false));
  expect(named("posts").fields.map(({ name }) => name)).toEqual(["a", "c", "id", "b"]);
  inTx((tx) => model().importCollections(tx, inputs, true));
  expect(
    named("posts")
      .fields.map(({ name }) => name)
      .toSorted(),
  ).toEqual(["a", "c", "id"]);
  expect([
    model().schema.find("old"),
    model().schema.find("users"),
    named("v").type,
    named("_otps").system,
  ]).toEqual([undefined, undefined, "view", true]);
  const bad = [{ name: "one" }, { name: "two", listRule: "nothing = 1" }];
  expect(failureOf(() => inTx((tx) => model().importCollections(tx, bad, false)))).toEqual({
    collections: "validation_collections_import_failure",
  });
  expect(model().schema.find("one")).toBeUndefined();
});

test("importCollections tells of two fields of one name as of any other fault", () => {
  const twice = [{ name: "twice", fields: [{ name: "id", type: "number" }] }];
  let error: unknown;
  try {
    inTx((tx) => model().importCollections(tx, twice, false));
  } catch (thrown) {
    error = thrown;
  }
  expect(JSON.stringify((error as ValidationFailure).data)).toContain("Duplicated or invalid field name id");
});

test("importCollections renames by id, but takes no name that is taken", () => {
  const { id } = createCollection({ name: "posts", fields: [textField("a")] });
  createCollection({ name: "other" });
  inTx((tx) => tx.exec("CREATE TABLE internal (a)"));
  const rename = (name: string): void => inTx((tx) => model().importCollections(tx, [{ id, name }], false));
  for (const name of ["articles", "ARTICLES", "posts"]) {
    rename(name);
    expect([named(name).id, count(name)]).toEqual([id, 0]);
  }
  for (const name of ["OTHER", "internal", named("other").id]) {
    expect(failureOf(() => rename(name))).toEqual({ collections: "validation_collections_import_failure" });
    expect(named("posts").id).toBe(id);
  }
});

test("a rolled back transaction leaves the schema as it was", () => {
  const before = model().schema;
  expect(() =>
    inTx((tx) => {
      model().createCollection(tx, { name: "posts" });
      expect(model().schemaIn(tx).find("posts")).toBeDefined();
      expect(model().schema.find("posts")).toBeUndefined();
      throw new Error("undo");
    }),
  ).toThrow("undo");
  expect(model().schema).toBe(before);
});

test("views over views follow their source", () => {
  createCollection({ name: "posts", fields: [textField("a", { max: 10 })] });
  createCollection({ name: "v1", type: "view", viewQuery: "select id, a from posts" });
  createCollection({ name: "v2", type: "view", viewQuery: "select id, a as b from v1" });
  const fields = [{ ...named("posts").fields.find(({ name }) => name === "a"), max: 20 }];
  updateCollection("posts", { fields });
  const last = (name: string): unknown => named(name).fields.at(-1);
  expect([last("v1"), last("v2")]).toMatchObject([{ max: 20 }, { max: 20 }]);
});

test("what SQLite refuses is told in PocketBase's words", () => {
  const indexes = ["CREATE INDEX broken ON x (missing)"];
  let message: unknown;
  try {
    createCollection({ name: "x", indexes });
  } catch (error) {
    message = (error as { data: { indexes: { 0: { message: string } } } }).data.indexes[0].message;
  }
  expect(message).toBe("Failed to create index broken - SQL logic error: no such column: missing (1).");
});

test("rate limits follow a renamed collection", () => {
  createCollection({ name: "posts" });
  inTx((tx) =>
    tx.run(
      "UPDATE _params SET value = CAST(json_set(CAST(value AS TEXT), '$.rateLimits.rules[0].label', 'posts:create', '$.rateLimits.rules[1].label', 'postscript:list') AS BLOB)",
    ),
  );
  updateCollection("posts", { name: "articles" });
  const stored = String(inTx((tx) => tx.values("SELECT CAST(value AS TEXT) FROM _params")[0]?.[0]));
  const settings = JSON.parse(stored) as { rateLimits: { rules: { label: string }[] } };
  const labels = settings.rateLimits.rules.slice(0, 2).map(({ label }) => label);
  expect(labels).toEqual(["articles:create", "postscript:list"]);
});

test("a view that no longer works keeps its definition, and no other view is half renewed", () => {
  const { fields } = createCollection({ name: "posts", fields: [textField("a"), textField("b")] });
  createCollection({ name: "first", type: "view", viewQuery: "select id, a from posts" });
  createCollection({ name: "second", type: "view", viewQuery: "select id, b from posts" });
  const [id, a, b] = fields;
  updateCollection("posts", { fields: [id, { ...a, max: 7 }, { ...b, name: "c" }] });
  const stored = JSON.parse(
    String(inTx((tx) => tx.values("SELECT fields FROM _collections WHERE name = 'first'")[0]?.[0])),
  ) as unknown;
  expect(named("first").fields).toEqual(stored as never);
  expect(named("second").fields.map(({ name }) => name)).toEqual(["id", "b"]);
});

test("an imported view may select from a collection that comes after it", () => {
  const view = { name: "seen", type: "view", viewQuery: "select id, a from fresh" };
  inTx((tx) => model().importCollections(tx, [view, { name: "fresh", fields: [textField("a")] }], false));
  expect(named("seen").fields.map(({ type }) => type)).toEqual(["text", "text"]);
});
