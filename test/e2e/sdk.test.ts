import { afterAll, beforeAll, describe, expect, test, setDefaultTimeout } from "bun:test";
import { rmSync } from "node:fs";
import { EventSource } from "eventsource";
import PocketBase, { ClientResponseError, type RecordSubscription } from "pocketbase";
import { type AllInOne, startAllInOne, temporaryDirectory } from "./all-in-one.ts";
import { eventually, killAll } from "./process.ts";

setDefaultTimeout(60_000);

// Browsers have it; the SDK asks for this package elsewhere.
globalThis.EventSource ??= EventSource as typeof globalThis.EventSource;

/** The official PocketBase SDK against a tenant of the whole platform: it must not notice where it is. */
const data = temporaryDirectory();
let platform: AllInOne;
let superuser: PocketBase;

beforeAll(async () => {
  platform = await startAllInOne(data);
  expect((await platform.manybase("tenants", "create", "acme")).status).toBe(0);
  const made = await platform.manybase("tenants", "superuser", "acme", "root@example.com", "root-password-1");
  expect(made).toMatchObject({ status: 0, output: "Created superuser root@example.com of acme.\n" });
  superuser = new PocketBase(platform.url("acme"));
  superuser.autoCancellation(false);
  await superuser.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
});

afterAll(async () => {
  await killAll();
  rmSync(data, { recursive: true, force: true });
});

describe("collections and records", () => {
  let authors: string;

  test("a superuser makes collections with text, number, bool, date and relation fields", async () => {
    authors = (
      await superuser.collections.create({
        name: "authors",
        type: "base",
        fields: [{ name: "name", type: "text", required: true, min: 2 }],
      })
    ).id;
    const posts = await superuser.collections.create({
      name: "posts",
      type: "base",
      listRule: "",
      viewRule: "",
      createRule: "@request.auth.id != ''",
      fields: [
        { name: "title", type: "text" },
        { name: "views", type: "number" },
        { name: "public", type: "bool" },
        { name: "published", type: "date" },
        { name: "author", type: "relation", collectionId: authors, maxSelect: 1 },
        { name: "created", type: "autodate", onCreate: true },
      ],
      indexes: ["CREATE UNIQUE INDEX `idx_posts_title` ON `posts` (`title`)"],
    });
    expect(posts.fields.map((field) => field["name"])).toEqual([
      "id",
      "title",
      "views",
      "public",
      "published",
      "author",
      "created",
    ]);
  });

  test("records are made, listed with filter, sort and paging, viewed, changed and deleted", async () => {
    const author = await superuser.collection("authors").create({ name: "Ada" });
    for (let i = 0; i < 12; i++) {
      await superuser.collection("posts").create({
        title: `post ${String(i).padStart(2, "0")}`,
        views: i * 10,
        public: i % 2 === 0,
        published: new Date(Date.UTC(2026, 0, i + 1)).toISOString(),
        author: author.id,
      });
    }
    const visitor = new PocketBase(platform.url("acme"));
    const page = await visitor.collection("posts").getList(2, 2, {
      filter: visitor.filter("views >= {:views} && public = true", { views: 20 }),
      sort: "-views",
    });
    expect(page).toMatchObject({ page: 2, perPage: 2, totalItems: 5, totalPages: 3 });
    expect(page.items.map((item) => item["title"])).toEqual(["post 06", "post 04"]);

    const one = await visitor.collection("posts").getFirstListItem('title = "post 03"');
    expect(one).toMatchObject({
      views: 30,
      public: false,
      published: "2026-01-04 00:00:00.000Z",
      author: author.id,
    });
    const byAuthor = await superuser
      .collection("posts")
      .getFullList({ filter: 'author.name ~ "ad"', expand: "author" });
    expect(byAuthor).toHaveLength(12);
    expect(byAuthor[0]?.expand).toMatchObject({ author: { name: "Ada" } });

    const changed = await superuser.collection("posts").update(one.id, { views: 31, title: "renamed" });
    expect(changed).toMatchObject({ id: one.id, views: 31, title: "renamed", public: false });
    expect(await superuser.collection("posts").delete(one.id)).toBe(true);
    await expect(visitor.collection("posts").getOne(one.id)).rejects.toMatchObject({ status: 404 });
  });

  test("errors have PocketBase's shape", async () => {
    const visitor = new PocketBase(platform.url("acme"));
    const refused = await visitor
      .collection("authors")
      .getList()
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ClientResponseError);
    expect(refused).toMatchObject({
      status: 403,
      response: { data: {}, message: "Only superusers can perform this action.", status: 403 },
    });
    await expect(superuser.collection("authors").create({ name: "" })).rejects.toMatchObject({
      status: 400,
      response: { data: { name: { code: "validation_required", message: "Cannot be blank." } }, status: 400 },
    });
    await expect(superuser.collection("posts").create({ title: "post 01" })).rejects.toMatchObject({
      status: 400,
      response: { data: { title: { code: "validation_not_unique" } } },
    });
    await expect(superuser.send("/api/nothing", { method: "POST" })).rejects.toMatchObject({
      status: 404,
      response: { data: {}, message: "The requested resource wasn't found.", status: 404 },
    });
  });

  test("a user signs up, logs in, and rules let them in", async () => {
    const user = new PocketBase(platform.url("acme"));
    await user
      .collection("users")
      .create({ email: "u@example.com", password: "user-password-1", passwordConfirm: "user-password-1" });
    await expect(user.collection("posts").create({ title: "mine" })).rejects.toMatchObject({ status: 400 });
    const { record, token } = await user
      .collection("users")
      .authWithPassword("u@example.com", "user-password-1");
    expect(token).not.toBe("");
    expect(record).toMatchObject({ collectionName: "users", email: "u@example.com", verified: false });
    expect(record["password"]).toBeUndefined();
    expect(await user.collection("posts").create({ title: "mine" })).toMatchObject({ title: "mine" });
    await expect(user.collection("users").authWithPassword("u@example.com", "wrong")).rejects.toMatchObject({
      status: 400,
      response: { message: "Failed to authenticate." },
    });
  });

  test("realtime tells subscribers of changes that they may see", async () => {
    const visitor = new PocketBase(platform.url("acme"));
    const events: RecordSubscription[] = [];
    await visitor.collection("posts").subscribe("*", (event) => events.push(event));
    const hidden: RecordSubscription[] = [];
    await visitor.collection("authors").subscribe("*", (event) => hidden.push(event));
    const made = await superuser.collection("posts").create({ title: "live" });
    await superuser.collection("authors").create({ name: "Unseen" });
    await superuser.collection("posts").update(made.id, { views: 1 });
    await superuser.collection("posts").delete(made.id);
    await eventually(() => expect(events).toHaveLength(3));
    expect(events.map(({ action, record }) => [action, record.id])).toEqual([
      ["create", made.id],
      ["update", made.id],
      ["delete", made.id],
    ]);
    expect(hidden).toEqual([]);
    await visitor.realtime.unsubscribe();
  });
});

test("bodies of every size arrive whole, and so do the answers", async () => {
  await superuser.collections.create({
    name: "texts",
    type: "base",
    fields: [{ name: "text", type: "json", maxSize: 8_000_000 }],
  });
  for (const size of [0, 1_000, 17_000, 66_000, 1_000_000, 1_100_000, 4_000_000]) {
    const text = "añ😀x".repeat(size / 8);
    const made = await superuser.collection("texts").create({ text });
    expect((await superuser.collection("texts").getOne(made.id))["text"]).toBe(text);
  }
});

test("tenants do not see each other", async () => {
  expect((await platform.manybase("tenants", "create", "other")).status).toBe(0);
  const other = new PocketBase(platform.url("other"), superuser.authStore);
  await expect(other.collections.getFullList()).rejects.toMatchObject({ status: 401 });
});
