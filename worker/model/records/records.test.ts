import { expect, test } from "bun:test";
import { UserError } from "../../../shared/errors.ts";
import type { RecordChange, RecordData, ValidationFailure } from "../contract.ts";
import { codesOf, failureOf, textField, useTestModel } from "../testing.ts";
import { verifyPassword } from "./passwords.ts";
import { EVERYTHING, recordToJson } from "./to-json.ts";

const { model, inTx, named, createCollection, updateCollection, save, find, count } = useTestModel();

test("records: defaults, dates, generated ids, unique and relation errors", async () => {
  createCollection({
    name: "posts",
    fields: [
      textField("title", { required: true }),
      textField("slug", { autogeneratePattern: "s-[0-9]{4}" }),
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
      (error: ValidationFailure) => codesOf(error.data),
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
  createCollection({ name: "posts", fields: [textField("a"), textField("b")] });
  const record = await save("posts", { a: "1", b: "1" });
  await save("posts", { a: "2" }, record);
  await save("posts", { b: "2" }, record);
  expect(find("posts", record.id)?.values).toMatchObject({ a: "2", b: "2" });
  inTx((tx) => model().remove(tx, record));
  const gone = await save("posts", { b: "3" }, record).catch((error: unknown) => error);
  expect(gone).toBeInstanceOf(UserError);
});

test("hidden fields are set and shown only when allowed", () => {
  createCollection({ name: "posts", fields: [textField("open"), textField("secret", { hidden: true })] });
  const bind = (allowHidden: boolean): unknown =>
    model().bind(named("posts"), undefined, { open: "a", secret: "b" }, new Map(), { allowHidden }).values[
      "secret"
    ];
  expect([bind(false), bind(true)]).toEqual(["", "b"]);
});

test("deleting: cascade, unset, required", async () => {
  createCollection({ name: "roots", fields: [textField("t")] });
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
  model().listen((_, change: RecordChange) => told.push(`${change.action} ${change.collection.name}`));
  inTx((tx) => model().remove(tx, r1));
  expect(told).toEqual(["delete roots", "update held", "delete kids", "update kids"]);
  expect([
    find("kids", gone.id),
    find("kids", stays.id)?.values["many"],
    find("held", held.id)?.values["must"],
  ]).toEqual([undefined, [r2.id], [r2.id]]);
  expect(failureOf(() => inTx((tx) => model().remove(tx, r2)))).toEqual({});
  expect(find("roots", r2.id)).toBeDefined();
});

test("auth records: hashes, token keys and what follows their change", async () => {
  const user = await save("users", { email: "a@b.co", password: "12345678", emailVisibility: false });
  const hash = String(user.values["password"]);
  expect(hash).toStartWith("$2a$10$");
  expect([
    await verifyPassword("12345678", hash, user.collection),
    await verifyPassword("wrong", hash, user.collection),
    await verifyPassword("", "", user.collection),
  ]).toEqual([true, false, false]);
  // As Go compares: what is beyond bcrypt's reach does not count.
  const long = Bun.password.hashSync("x".repeat(72), { algorithm: "bcrypt", cost: 4 });
  expect(await verifyPassword("x".repeat(80), long, user.collection)).toBe(true);
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
  inTx((tx) => model().remove(tx, repassword));
  expect(left()).toEqual([0, 0, 0, 0]);
});

test("a record is never saved with an unhashed password", () => {
  const pending = model().bind(
    named("users"),
    undefined,
    { email: "a@b.co", password: "12345678" },
    new Map(),
    { allowHidden: false },
  );
  expect(() => inTx((tx) => model().save(tx, pending))).toThrow("not hashed");
});

test("references must point to a record of an auth collection", async () => {
  const refuse = async (input: Record<string, unknown>): Promise<unknown> =>
    save("_externalAuths", {
      collectionRef: "x",
      recordRef: "y",
      provider: "google",
      providerId: "1",
      ...input,
    }).catch((error: ValidationFailure) => codesOf(error.data));
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
    (e: ValidationFailure) => codesOf(e.data),
  );
  expect(clash).toEqual({ id: "validation_invalid_auth_id" });
});

test("superusers are always verified, replace the installer's account, and one stays", async () => {
  await save("_superusers", { email: "__pbinstaller@example.com", password: "1234567890" });
  const real = await save("_superusers", { email: "a@b.co", password: "1234567890", verified: false });
  expect([real.values["verified"], count("_superusers")]).toEqual([true, 1]);
  expect(() => inTx((tx) => model().remove(tx, real))).toThrow(
    "You can't delete the only existing superuser.",
  );
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
  const pending = model().bind(
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
  const saved = inTx((tx) => model().save(tx, pending));
  const [first, second] = saved.values["files"] as string[];
  const kept = model().bind(
    named("docs"),
    saved,
    { "files-": first, files: [second, "foreign.txt"] },
    new Map(),
    { allowHidden: false },
  );
  expect(failureOf(() => model().validate(kept))).toEqual({ files: "validation_invalid_file" });
  const added = model().bind(
    named("docs"),
    saved,
    { "files-": first },
    new Map([["files+", [file("new.md", "text/markdown")]]]),
    { allowHidden: false },
  );
  expect(added.values["files"]).toEqual([second, expect.stringMatching(/^new_\w{10}\.md$/)]);
});

test("deleting: a row that was read before a cascade is saved as it was read", async () => {
  createCollection({ name: "roots", fields: [textField("t")] });
  createCollection({ name: "kids", fields: [textField("t")] });
  const [roots, kids] = [named("roots").id, named("kids").id];
  const fields = [
    { type: "relation", name: "root", collectionId: roots, maxSelect: 3, cascadeDelete: true },
    { type: "relation", name: "kid", collectionId: kids },
  ];
  updateCollection("kids", { fields });
  const [r1, r2] = [await save("roots", {}), await save("roots", {})];
  const goes = await save("kids", { root: [r1.id] });
  const stays = await save("kids", { root: [r1.id, r2.id], kid: goes.id });
  inTx((tx) => model().remove(tx, r1));
  expect(find("kids", goes.id)).toBeUndefined();
  expect(find("kids", stays.id)?.values).toMatchObject({ root: [r2.id], kid: goes.id });
});

test("truncateCollection empties a collection with its cascades", async () => {
  createCollection({ name: "posts", fields: [textField("a")] });
  for (let i = 0; i < 3; i++) await save("posts", { a: String(i) });
  inTx((tx) => model().truncateCollection(tx, named("posts")));
  expect(count("posts")).toBe(0);
});
