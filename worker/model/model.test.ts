import { afterEach, beforeEach, expect, test } from "bun:test";
import { UserError } from "../../shared/errors.ts";
import type { Collection } from "../../shared/schema/collection.ts";
import type { WriteTransaction } from "../tenant/contract.ts";
import { bootstrap } from "./bootstrap.ts";
import { ValidationFailure, type RecordChange, type RecordData, type TenantModel } from "./contract.ts";
import { modelOf } from "./model.ts";
import { verifyPassword } from "./records/passwords.ts";
import { EVERYTHING, recordToJson } from "./records/to-json.ts";
import { openTestTenant, type TestTenant } from "./testing.ts";

let tenant: TestTenant;
let model: TenantModel;

beforeEach(async () => {
  tenant = await openTestTenant();
  await bootstrap(tenant);
  model = modelOf(tenant);
});
afterEach(() => tenant.close());

const inTx = <T>(fn: (tx: WriteTransaction) => T): T => tenant.data.write(tenant.observe(), fn) as T;
const schemaSql = (name: string): unknown =>
  tenant.data.read(
    tenant.observe(),
    (db) => db.values("SELECT sql FROM sqlite_schema WHERE name = ?", [name])[0]?.[0],
  );

function failureOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    if (error instanceof ValidationFailure) return codes(error.data);
    throw error;
  }
  return undefined;
}
function codes(data: unknown): unknown {
  if (typeof data !== "object" || data === null) return data;
  if ("code" in data) return data.code;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, codes(value)]));
}

const text = (name: string, more = {}): Record<string, unknown> => ({ type: "text", name, ...more });
const createCollection = (input: Record<string, unknown>): Collection =>
  inTx((tx) => model.createCollection(tx, { type: "base", ...input }));
const updateCollection = (name: string, input: Record<string, unknown>): Collection =>
  inTx((tx) => model.updateCollection(tx, named(name), input));
function named(name: string): Collection {
  const found = model.schema.find(name);
  if (found === undefined) throw new Error(`no collection ${name}`);
  return found;
}
async function save(name: string, input: Record<string, unknown>, before?: RecordData): Promise<RecordData> {
  const pending = model.bind(named(name), before, input, new Map(), { allowHidden: true });
  await model.hashPasswords(pending);
  return inTx((tx) => model.save(tx, pending));
}
const find = (name: string, id: string): RecordData | undefined =>
  tenant.data.read(tenant.observe(), (db) => model.find(db, named(name), id));
const count = (name: string): number =>
  tenant.data.read(tenant.observe(), (db) => Number(db.values(`SELECT count(*) FROM ${name}`)[0]?.[0]));

test("a new collection has PocketBase's ids, columns in alphabetical order and its indexes", () => {
  const made = createCollection({
    name: "posts",
    fields: [text("title"), { type: "number", name: "n" }, { type: "bool", name: "a" }],
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
  expect(model.schema.find("POSTS")?.id).toBe(made.id);
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
    { name: "x", fields: [text("a"), text("A", { id: "b" })] },
    { fields: { 2: { name: "validation_duplicated_field_name" } } },
  ],
  [{ name: "x", fields: [text("")] }, { fields: { 1: { name: "validation_required" } } }],
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
    { fields: "validation_required", viewQuery: "validation_invalid_view_query" },
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
    { name: "x", type: "auth", fields: [text("nick")], passwordAuth: { identityFields: ["nick"] } },
    { passwordAuth: { identityFields: "validation_missing_unique_constraint" } },
  ],
  [
    { name: "x", type: "auth", fields: [text("oldPassword")] },
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
      oauth2: { enabled: true, providers: [{ name: "nobody", clientId: "a", clientSecret: "b" }] },
    },
    { oauth2: { providers: { 0: { name: "validation_missing_provider" } } } },
  ],
])("createCollection(%p) is refused", (input, expected) => {
  expect(failureOf(() => createCollection(input))).toEqual(expected);
  expect(model.schema.find("x")).toBeUndefined();
});

test("a refused change leaves schema, table and rows as they were", async () => {
  createCollection({ name: "posts", fields: [text("title")] });
  await save("posts", { title: "a" });
  await save("posts", { title: "a" });
  const before = model.schema;
  const indexes = ["CREATE UNIQUE INDEX u ON posts (title)"];
  expect(failureOf(() => updateCollection("posts", { indexes, name: "other" }))).toEqual({
    indexes: { 0: "validation_invalid_index_expression" },
  });
  expect(model.schema).toBe(before);
  expect(count("posts")).toBe(2);
});

test("updateCollection merges objects, keeps secrets, renames, adds, drops and swaps columns", async () => {
  const made = createCollection({ name: "posts", fields: [text("a"), text("b"), text("c")] });
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

test("a field without id is the stored one of the same name and type", async () => {
  const made = createCollection({ name: "posts", fields: [text("a", { id: "custom" })] });
  const record = await save("posts", { a: "kept" });
  const changed = updateCollection("posts", { fields: [text("a", { max: 10 })] });
  expect(changed.fields.map(({ id }) => id)).toEqual([made.fields[0]?.id ?? "", "custom"]);
  expect(find("posts", record.id)?.values["a"]).toBe("kept");
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
  expect(() => inTx((tx) => model.deleteCollection(tx, superusers))).toThrow(
    "system collections cannot be deleted",
  );
});

test("single to multiple wraps values, multiple to single keeps the last; views survive", async () => {
  createCollection({
    name: "posts",
    fields: [{ type: "select", name: "s", id: "s1", values: ["a", "b", "c"] }],
  });
  createCollection({ name: "seen", type: "view", viewQuery: "select id, s from posts" });
  const [one, none] = [await save("posts", { s: "b" }), await save("posts", {})];
  const select = (maxSelect: number): unknown =>
    updateCollection("posts", {
      fields: [
        ...named("posts").fields.slice(0, 1),
        { type: "select", name: "s", id: "s1", values: ["a", "b", "c"], maxSelect },
      ],
    });
  select(3);
  expect(find("posts", one.id)?.values["s"]).toEqual(["b"]);
  expect(find("seen", none.id)?.values["s"]).toEqual([]);
  await save("posts", { "s+": ["c"] }, find("posts", one.id));
  select(1);
  expect(find("posts", one.id)?.values["s"]).toBe("c");
  expect(find("seen", one.id)?.values["s"]).toBe("c");
});

test("a view infers its fields from the query and follows its sources", async () => {
  createCollection({
    name: "posts",
    fields: [
      text("title"),
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
  const [first, ...rest] = named("posts").fields;
  updateCollection("posts", {
    fields: [first, ...rest.map((f) => (f.name === "title" ? { ...f, max: 7 } : f))],
  });
  expect(named("stats").fields.find(({ name }) => name === "title")).toMatchObject({ max: 7 });
  expect(() => inTx((tx) => model.deleteCollection(tx, named("posts")))).toThrow("view dependency");
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
  expect(() => inTx((tx) => model.deleteCollection(tx, named("members")))).toThrow(
    "[members] failed to delete due to existing relation references: posts",
  );
  inTx((tx) => model.deleteCollection(tx, named("posts")));
  inTx((tx) => model.deleteCollection(tx, named("members")));
  expect([model.schema.find("members"), schemaSql("members"), count("_authOrigins")]).toEqual([
    undefined,
    undefined,
    0,
  ]);
});

test("importCollections saves all or nothing, views last, and can delete what is missing", () => {
  createCollection({ name: "old" });
  createCollection({ name: "posts", fields: [text("a"), text("b")] });
  const inputs = [
    { name: "v", type: "view", viewQuery: "select id, a from posts" },
    { id: named("posts").id, name: "posts", fields: [text("a"), text("c")] },
  ];
  inTx((tx) => model.importCollections(tx, inputs, false));
  expect(named("posts").fields.map(({ name }) => name)).toEqual(["a", "c", "id", "b"]);
  inTx((tx) => model.importCollections(tx, inputs, true));
  expect(
    named("posts")
      .fields.map(({ name }) => name)
      .toSorted(),
  ).toEqual(["a", "c", "id"]);
  expect([
    model.schema.find("old"),
    model.schema.find("users"),
    named("v").type,
    named("_otps").system,
  ]).toEqual([undefined, undefined, "view", true]);
  const bad = [{ name: "one" }, { name: "two", listRule: "nothing = 1" }];
  expect(failureOf(() => inTx((tx) => model.importCollections(tx, bad, false)))).toEqual({
    collections: "validation_collections_import_failure",
  });
  expect(model.schema.find("one")).toBeUndefined();
});

test("records: defaults, dates, generated ids, unique and relation errors", async () => {
  createCollection({
    name: "posts",
    fields: [
      text("title", { required: true }),
      text("slug", { autogeneratePattern: "s-[0-9]{4}" }),
      { type: "autodate", name: "created", onCreate: true },
      { type: "autodate", name: "updated", onCreate: true, onUpdate: true },
    ],
    indexes: ["CREATE UNIQUE INDEX u ON posts (title)"],
  });
  updateCollection("posts", {
    fields: [...named("posts").fields, { type: "relation", name: "rel", collectionId: named("posts").id }],
  });
  const first = await save("posts", { title: "a", created: "2000-01-01", unknown: 1 });
  expect(first.id).toMatch(/^[a-z0-9]{15}$/);
  expect(first.values).toMatchObject({ title: "a", rel: "", created: first.values["updated"] });
  expect(first.values["slug"]).toMatch(/^s-\d{4}$/);
  const refused = async (input: Record<string, unknown>, before?: RecordData): Promise<unknown> =>
    save("posts", input, before).then(
      () => "saved",
      (error: ValidationFailure) => codes(error.data),
    );
  expect(await refused({})).toEqual({ title: "validation_required" });
  expect(await refused({ title: "a" })).toEqual({ title: "validation_not_unique" });
  expect(await refused({ title: "b", rel: "missing" })).toEqual({ rel: "validation_missing_rel_records" });
  expect(await refused({ title: "b", id: "short" })).toEqual({ id: "validation_min_text_constraint" });
  expect(await refused({ title: "b", id: first.id })).toEqual({ id: "validation_not_unique" });
  expect(await refused({ id: "123456789012345" }, first)).toEqual({ id: "validation_pk_change" });
  const second = await save("posts", { title: "b", rel: first.id });
  await Bun.sleep(2);
  const changed = await save("posts", { "slug:autogenerate": "x-" }, second);
  expect(changed.values["slug"]).toMatch(/^x-s-\d{4}$/);
  expect(String(changed.values["updated"]) > String(second.values["updated"])).toBe(true);
  expect(find("posts", second.id)).toEqual(changed);
});

test("two writers of different fields do not undo each other", async () => {
  createCollection({ name: "posts", fields: [text("a"), text("b")] });
  const record = await save("posts", { a: "1", b: "1" });
  await save("posts", { a: "2" }, record);
  await save("posts", { b: "2" }, record);
  expect(find("posts", record.id)?.values).toMatchObject({ a: "2", b: "2" });
  inTx((tx) => model.remove(tx, record));
  const gone = await save("posts", { b: "3" }, record).catch((error: unknown) => error);
  expect(gone).toBeInstanceOf(UserError);
});

test("hidden fields are set and shown only when allowed", () => {
  createCollection({ name: "posts", fields: [text("open"), text("secret", { hidden: true })] });
  const bind = (allowHidden: boolean): unknown =>
    model.bind(named("posts"), undefined, { open: "a", secret: "b" }, new Map(), { allowHidden }).values[
      "secret"
    ];
  expect([bind(false), bind(true)]).toEqual(["", "b"]);
});

test("deleting: cascade, unset, required", async () => {
  createCollection({ name: "roots", fields: [text("t")] });
  const roots = named("roots").id;
  const relation = (name: string, more = {}): Record<string, unknown> => ({
    type: "relation",
    name,
    collectionId: roots,
    ...more,
  });
  createCollection({
    name: "kids",
    fields: [relation("one", { cascadeDelete: true }), relation("many", { maxSelect: 5 })],
  });
  createCollection({ name: "held", fields: [relation("must", { required: true, maxSelect: 5 })] });
  const [r1, r2] = [await save("roots", { t: "1" }), await save("roots", { t: "2" })];
  const gone = await save("kids", { one: r1.id });
  const stays = await save("kids", { one: r2.id, many: [r1.id, r2.id] });
  const held = await save("held", { must: [r1.id, r2.id] });
  const told: string[] = [];
  model.listen((_, change: RecordChange) => told.push(`${change.action} ${change.collection.name}`));
  inTx((tx) => model.remove(tx, r1));
  expect(told).toEqual(["delete roots", "update held", "delete kids", "update kids"]);
  expect([
    find("kids", gone.id),
    find("kids", stays.id)?.values["many"],
    find("held", held.id)?.values["must"],
  ]).toEqual([undefined, [r2.id], [r2.id]]);
  expect(failureOf(() => inTx((tx) => model.remove(tx, r2)))).toEqual({});
  expect(find("roots", r2.id)).toBeDefined();
});

test("auth records: hashes, token keys and what follows their change", async () => {
  const user = await save("users", { email: "a@b.co", password: "12345678", emailVisibility: false });
  const hash = String(user.values["password"]);
  expect(hash).toStartWith("$2a$10$");
  expect([
    await verifyPassword("12345678", hash),
    await verifyPassword("wrong", hash),
    await verifyPassword("", ""),
  ]).toEqual([true, false, false]);
  expect(Object.keys(recordToJson(user))).not.toContain("email");
  expect(recordToJson(user, EVERYTHING)).toMatchObject({ email: "a@b.co", verified: false });
  expect(Object.keys(recordToJson(user, EVERYTHING))).not.toContainAnyValues(["password", "tokenKey"]);

  const ref = { collectionRef: "_pb_users_auth_", recordRef: user.id };
  await save("_otps", { ...ref, password: "1234", sentTo: "a@b.co" });
  await save("_mfas", { ...ref, method: "password" });
  await save("_authOrigins", { ...ref, fingerprint: "f" });
  await save("_externalAuths", { ...ref, provider: "google", providerId: "1" });
  const left = (): number[] => ["_otps", "_mfas", "_authOrigins", "_externalAuths"].map(count);

  const named1 = await save("users", { name: "x" }, user);
  expect([named1.values["tokenKey"] === user.values["tokenKey"], left()]).toEqual([true, [1, 1, 1, 1]]);
  const verified = await save("users", { verified: true }, named1);
  expect([verified.values["tokenKey"] === user.values["tokenKey"], left()]).toEqual([false, [0, 1, 1, 0]]);
  const repassword = await save("users", { password: "87654321" }, verified);
  expect([repassword.values["tokenKey"] === verified.values["tokenKey"], left()]).toEqual([
    false,
    [0, 0, 0, 0],
  ]);
  await save("_mfas", { ...ref, method: "password" });
  inTx((tx) => model.remove(tx, repassword));
  expect(left()).toEqual([0, 0, 0, 0]);
});

test("a record is never saved with an unhashed password", () => {
  const pending = model.bind(
    named("users"),
    undefined,
    { email: "a@b.co", password: "12345678" },
    new Map(),
    { allowHidden: false },
  );
  expect(() => inTx((tx) => model.save(tx, pending))).toThrow("not hashed");
});

test("references must point to a record of an auth collection", async () => {
  const refuse = async (input: Record<string, unknown>): Promise<unknown> =>
    save("_externalAuths", {
      collectionRef: "x",
      recordRef: "y",
      provider: "google",
      providerId: "1",
      ...input,
    }).catch((error: ValidationFailure) => codes(error.data));
  const user = await save("users", { email: "a@b.co", password: "12345678" });
  expect(await refuse({})).toEqual({ collectionRef: "validation_invalid_collection_id" });
  expect(await refuse({ collectionRef: named("_mfas").id })).toEqual({
    collectionRef: "validation_invalid_collection_type",
  });
  expect(await refuse({ collectionRef: "_pb_users_auth_" })).toEqual({
    recordRef: "validation_invalid_record",
  });
  expect(await refuse({ collectionRef: "_pb_users_auth_", recordRef: user.id, provider: "nobody" })).toEqual({
    provider: "validation_in_invalid",
  });
});

test("auth record ids are unique across auth collections", async () => {
  createCollection({ type: "auth", name: "members" });
  const user = await save("users", { email: "a@b.co", password: "12345678" });
  const clash = await save("members", { id: user.id, email: "a@b.co", password: "12345678" }).catch(
    (e: ValidationFailure) => codes(e.data),
  );
  expect(clash).toEqual({ id: "validation_invalid_auth_id" });
});

test("superusers are always verified, replace the installer's account, and one stays", async () => {
  await save("_superusers", { email: "__pbinstaller@example.com", password: "1234567890" });
  const real = await save("_superusers", { email: "a@b.co", password: "1234567890", verified: false });
  expect([real.values["verified"], count("_superusers")]).toEqual([true, 1]);
  expect(() => inTx((tx) => model.remove(tx, real))).toThrow("You can't delete the only existing superuser.");
  expect(count("_superusers")).toBe(1);
});

test("uploads get stored names; names that nobody uploaded are refused", async () => {
  createCollection({
    name: "docs",
    fields: [
      { type: "file", name: "files", maxSelect: 3 },
      { type: "file", name: "one" },
    ],
  });
  const file = (name: string, mime = "text/plain"): never =>
    ({ name, mime, size: 3, blob: new Blob(["abc"]) }) as never;
  const pending = model.bind(
    named("docs"),
    undefined,
    {},
    new Map([
      ["files", [file("My Report.tar.gz"), file("x")]],
      ["one", [file("a.png", "image/png"), file("b.png", "image/png")]],
    ]),
    { allowHidden: false },
  );
  expect(pending.values["files"]).toEqual([
    expect.stringMatching(/^my_report_\w{10}\.tar\.gz$/),
    expect.stringMatching(/^x\w{10}_\w{10}\.txt$/),
  ]);
  expect(pending.values["one"]).toMatch(/^b\w{10}_\w{10}\.png$/);
  expect(pending.uploads.size).toBe(3);
  const saved = inTx((tx) => model.save(tx, pending));
  const [first, second] = saved.values["files"] as string[];
  const kept = model.bind(
    named("docs"),
    saved,
    { "files-": first, files: [second, "foreign.txt"] },
    new Map(),
    { allowHidden: false },
  );
  expect(failureOf(() => model.validate(kept))).toEqual({ files: "validation_invalid_file" });
  const added = model.bind(
    named("docs"),
    saved,
    { "files-": first },
    new Map([["files+", [file("new.md", "text/markdown")]]]),
    { allowHidden: false },
  );
  expect(added.values["files"]).toEqual([second, expect.stringMatching(/^new_\w{10}\.md$/)]);
});

test("truncateCollection empties a collection with its cascades", async () => {
  createCollection({ name: "posts", fields: [text("a")] });
  for (let i = 0; i < 3; i++) await save("posts", { a: String(i) });
  inTx((tx) => model.truncateCollection(tx, named("posts")));
  expect(count("posts")).toBe(0);
});

test("a rolled back transaction leaves the schema as it was", () => {
  const before = model.schema;
  expect(() =>
    inTx((tx) => {
      model.createCollection(tx, { name: "posts" });
      expect(model.schemaIn(tx).find("posts")).toBeDefined();
      expect(model.schema.find("posts")).toBeUndefined();
      throw new Error("undo");
    }),
  ).toThrow("undo");
  expect(model.schema).toBe(before);
});
