/** The API as the official JavaScript SDK uses it, on a real tenant with its gate and store. */
import { droppedPrefix, storagePrefix } from "../shared/objects/layout.ts";
import { readDropped } from "./points/dropped-uploads.ts";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { EventSource } from "eventsource";
import PocketBase, { ClientResponseError, type RecordSubscription } from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "./app-testing.ts";

let api: TestApi;
let root: PocketBase;

beforeAll(async () => {
  // The SDK expects the browser's.
  Object.assign(globalThis, { EventSource });
  api = await startTestApi();
  root = client();
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
});
afterAll(() => api.close());

function client(): PocketBase {
  const pb = new PocketBase(api.url);
  pb.autoCancellation(false);
  return pb;
}

async function refused(call: Promise<unknown>): Promise<ClientResponseError> {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (error instanceof ClientResponseError) return error;
  throw new Error(`expected a refusal, got ${String(error)}`);
}

test("SDK: collection with text, number, bool, date and relation; create, list, view, update, delete", async () => {
  const authors = await root.collections.create({
    name: "authors",
    type: "base",
    fields: [{ name: "name", type: "text", required: true }],
    listRule: "",
    viewRule: "",
  });
  await root.collections.create({
    name: "books",
    type: "base",
    fields: [
      { name: "title", type: "text", required: true },
      { name: "pages", type: "number", min: 1 },
      { name: "printed", type: "bool" },
      { name: "released", type: "date" },
      { name: "author", type: "relation", collectionId: authors.id, maxSelect: 1 },
    ],
  });
  const author = await root.collection("authors").create({ name: "Ursula" });
  const made = await root.collection("books").create({
    title: "Left Hand <1>",
    pages: 304,
    printed: true,
    released: "1969-03-01 00:00:00",
    author: author.id,
  });
  expect(made).toMatchObject({ pages: 304, printed: true, released: "1969-03-01 00:00:00.000Z" });
  for (const pages of [100, 200, 300]) await root.collection("books").create({ title: `b${pages}`, pages });

  const page = await root.collection("books").getList(1, 2, {
    filter: root.filter("pages >= {:least} && author.name != 'x'", { least: 200 }),
    sort: "-pages",
    expand: "author",
  });
  expect(page.items.map((item) => item["pages"])).toEqual([304, 300]);
  expect(page).toMatchObject({ page: 1, perPage: 2, totalItems: 3, totalPages: 2 });
  expect(page.items[0]?.expand).toMatchObject({ author: { name: "Ursula" } });

  const back = await root.collection("authors").getOne(author.id, { expand: "books_via_author" });
  expect(back.expand?.["books_via_author"]).toHaveLength(1);
  const updated = await root.collection("books").update(made.id, { "pages+": 10, title: "New" });
  expect(updated).toMatchObject({ pages: 314, title: "New" });
  await root.collection("books").delete(made.id);
  expect((await refused(root.collection("books").getOne(made.id))).status).toBe(404);
  const invalid = await refused(root.collection("books").create({ pages: -1 }));
  expect(invalid.response).toMatchObject({
    status: 400,
    message: "Failed to create record.",
    data: { title: { code: "validation_required" }, pages: { code: "validation_min_number_constraint" } },
  });
  expect((await refused(client().collection("books").getList())).status).toBe(403);
});

test("SDK: a user signs up, in, refreshes, changes the password; other users stay out", async () => {
  const pb = client();
  const user = { email: "ann@example.com", password: "12345678", passwordConfirm: "12345678" };
  const record = await pb.collection("users").create({ ...user, name: "Ann" });
  expect(record["email"]).toBeUndefined();
  expect((await refused(pb.collection("users").authWithPassword(user.email, "wrong"))).response).toEqual({
    data: {},
    message: "Failed to authenticate.",
    status: 400,
  });
  const auth = await pb.collection("users").authWithPassword(user.email, user.password);
  expect(auth.record["email"]).toBe(user.email);
  expect(pb.authStore.isValid).toBe(true);
  expect((await pb.collection("users").authRefresh()).token).not.toBe("");
  expect((await pb.collection("users").getList()).items.map(({ id }) => id)).toEqual([record.id]);
  expect(
    (await refused(pb.collection("users").update(record.id, { email: "b@example.com" }))).response,
  ).toMatchObject({
    data: { email: { code: "validation_values_mismatch" } },
  });
  const next = { password: "abcdefgh", passwordConfirm: "abcdefgh" };
  expect(
    (await refused(pb.collection("users").update(record.id, { ...next, oldPassword: "no" }))).response,
  ).toMatchObject({
    data: { oldPassword: { code: "validation_invalid_old_password" } },
  });
  await pb.collection("users").update(record.id, { ...next, oldPassword: user.password });
  expect((await refused(pb.collection("users").authRefresh())).status).toBe(401);
  await pb.collection("users").authWithPassword(user.email, next.password);
  const impersonated = await root.collection("users").impersonate(record.id, 60);
  expect((await impersonated.collection("users").getOne(record.id)).id).toBe(record.id);
  expect((await client().collection("users").getList()).items).toEqual([]);
});

test("SDK: realtime tells subscribers of changes, and only of what their rules let them see", async () => {
  await root.collections.create({
    name: "messages",
    type: "base",
    listRule: "public = true",
    fields: [
      { name: "text", type: "text" },
      { name: "public", type: "bool" },
    ],
  });
  const guest = client();
  const seenByGuest: RecordSubscription[] = [];
  const seenByRoot: RecordSubscription[] = [];
  await guest.collection("messages").subscribe("*", (event) => void seenByGuest.push(event));
  await root.collection("messages").subscribe("*", (event) => void seenByRoot.push(event));
  const open = await root.collection("messages").create({ text: "open", public: true });
  await root.collection("messages").create({ text: "secret", public: false });
  await root.collection("messages").update(open.id, { text: "changed" });
  await root.collection("messages").delete(open.id);
  await until(() => seenByGuest.length >= 3 && seenByRoot.length >= 4);
  expect(seenByGuest.map(({ action, record }) => [action, record["text"]])).toEqual([
    ["create", "open"],
    ["update", "changed"],
    ["delete", "changed"],
  ]);
  expect(seenByRoot).toHaveLength(4);
  await guest.collection("messages").unsubscribe();
  await root.collection("messages").unsubscribe();
});

test("SDK: files are uploaded, served, protected by token and removed with their record", async () => {
  await root.collections.create({
    name: "docs",
    type: "base",
    fields: [
      { name: "open", type: "file", maxSelect: 3 },
      { name: "closed", type: "file", protected: true },
    ],
  });
  const record = await root.collection("docs").create({
    open: [new File(["one"], "one.txt"), new File(["two"], "two.txt")],
    closed: new File(["secret"], "s.txt"),
  });
  const [one = "", two = ""] = record["open"] as string[];
  const oneUrl = root.files.getURL(record, one);
  expect(await (await fetch(oneUrl)).text()).toBe("one");
  const closedUrl = root.files.getURL(record, String(record["closed"]));
  expect((await fetch(closedUrl)).status).toBe(404);
  expect(await (await fetch(`${closedUrl}?token=${await root.files.getToken()}`)).text()).toBe("secret");
  const updated = await root
    .collection("docs")
    .update(record.id, { "open-": one, "open+": new File(["3"], "three.txt") });
  expect(updated["open"]).toEqual([two, expect.stringMatching(/^three_\w{10}\.txt$/)]);
  await until(async () => (await fetch(oneUrl)).status === 404);
  await root.collection("docs").delete(record.id);
  await until(async () => (await fetch(root.files.getURL(record, two))).status === 404);
  // They stay for as long as a restorable point may name them.
  const { objects, id } = api.tenant;
  const stored = (await objects.list({ prefix: storagePrefix(id) })).objects.map(({ key }) => key);
  expect(stored.filter((key) => key.endsWith(two))).toHaveLength(1);
  await until(async () => {
    const records = (await objects.list({ prefix: droppedPrefix(id) })).objects;
    const noted = await Promise.all(records.map(({ key }) => readDropped(objects, id, key, {})));
    return stored.every((key) => noted.flat().includes(key));
  });
});

test("SDK: a batch is one transaction", async () => {
  await root.collections.create({
    name: "notes",
    type: "base",
    fields: [{ name: "text", type: "text", required: true }],
  });
  await root.settings.update({ batch: { enabled: true, maxRequests: 10, timeout: 3 } });
  const good = root.createBatch();
  good.collection("notes").create({ text: "a" });
  good.collection("notes").upsert({ id: "0123456789abcde", text: "b" });
  expect((await good.send()).map(({ status }) => status)).toEqual([200, 200]);
  const bad = root.createBatch();
  bad.collection("notes").update("0123456789abcde", { text: "c" });
  bad.collection("notes").create({ text: "" });
  expect((await refused(bad.send())).response).toMatchObject({
    message: "Batch transaction failed.",
    data: {
      requests: {
        1: { code: "batch_request_failed", response: { data: { text: { code: "validation_required" } } } },
      },
    },
  });
  expect((await root.collection("notes").getOne("0123456789abcde"))["text"]).toBe("b");
});

async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 3000;
  while (!(await done())) {
    if (performance.now() > endMs) throw new Error("waited for nothing");
    await Bun.sleep(10);
  }
}
