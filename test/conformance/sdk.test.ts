import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { EventSource } from "eventsource";
import PocketBase, { ClientResponseError, type RecordSubscription } from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../../worker/app-testing.ts";

/** Every service of the official JS SDK against a tenant: its documented calls, one test for each. */
setDefaultTimeout(20_000);
globalThis.EventSource ??= EventSource as typeof globalThis.EventSource;

let api: TestApi;
let root: PocketBase;
const PASSWORD = "a-good-password";
const PNG = Uint8Array.from(
  atob("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="),
  (character) => character.charCodeAt(0),
);

const client = (): PocketBase => {
  const made = new PocketBase(api.url);
  made.autoCancellation(false);
  return made;
};

async function refusal(call: () => Promise<unknown>): Promise<ClientResponseError> {
  try {
    await call();
  } catch (error) {
    if (error instanceof ClientResponseError) return error;
    throw error;
  }
  throw new Error("expected a refusal");
}

beforeAll(async () => {
  api = await startTestApi("async");
  root = client();
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "posts",
    type: "base",
    listRule: "",
    viewRule: "",
    createRule: "@request.auth.id != ''",
    fields: [
      { name: "title", type: "text", required: true },
      { name: "views", type: "number" },
      { name: "image", type: "file", maxSelect: 1 },
      { name: "created", type: "autodate", onCreate: true },
    ],
  });
  await root.collections.create({
    name: "vault",
    type: "base",
    viewRule: "@request.auth.id != ''",
    fields: [{ name: "paper", type: "file", maxSelect: 1, protected: true }],
  });
  await root.collection("users").create({
    email: "ann@example.com",
    password: PASSWORD,
    passwordConfirm: PASSWORD,
  });
});
afterAll(() => api.close());

test("collections: create, getOne, getFullList, update, truncate, delete", async () => {
  const made = await root.collections.create({ name: "drafts", type: "base" });
  expect(made).toMatchObject({ name: "drafts", type: "base", system: false });
  expect((await root.collections.getOne("drafts")).id).toBe(made.id);
  const change: Record<string, unknown> = {
    name: "sketches",
    fields: [...made.fields, { name: "text", type: "text" }],
  };
  const renamed = await root.collections.update("drafts", change);
  expect(renamed.fields.map(({ name }) => name)).toEqual(["id", "text"]);
  await root.collection("sketches").create({ text: "a" });
  await root.collections.truncate("sketches");
  expect((await root.collection("sketches").getList()).totalItems).toBe(0);
  await root.collections.delete("sketches");
  const names = (await root.collections.getFullList({ sort: "name" })).map(({ name }) => name);
  expect(names).toEqual([
    "_authOrigins",
    "_externalAuths",
    "_mfas",
    "_otps",
    "_superusers",
    "posts",
    "users",
    "vault",
  ]);
});

test("collections: import and getScaffolds", async () => {
  const imported = await root.collections.getOne("vault");
  const fields = imported.fields.filter(({ name }) => name === "id");
  await root.collections.import([{ ...imported, id: "imported0000000", name: "imported", fields }]);
  expect((await root.collections.getOne("imported")).fields.map(({ name }) => name)).toEqual(["id"]);
  await root.collections.delete("imported");
  const scaffolds = await root.collections.getScaffolds();
  expect(Object.keys(scaffolds)).toEqual(["auth", "base", "view"]);
});

test("records: create, getOne, getList, getFullList, getFirstListItem, update, delete", async () => {
  const posts = root.collection("posts");
  const made = await posts.create({ title: "first", views: 1 });
  expect(await posts.getOne(made.id)).toEqual(made);
  const other = await posts.create({ title: "second" });
  expect(await posts.getList(1, 1, { sort: "-title" })).toMatchObject({
    page: 1,
    perPage: 1,
    totalItems: 2,
    totalPages: 2,
    items: [{ title: "second" }],
  });
  expect((await posts.getFullList({ batch: 1, sort: "title" })).map(({ id }) => id)).toEqual([
    made.id,
    other.id,
  ]);
  const filter = root.filter("title = {:title} && created < {:now}", { title: "first", now: new Date(4e12) });
  expect((await posts.getFirstListItem(filter)).id).toBe(made.id);
  expect((await refusal(() => posts.getFirstListItem("title = 'none'"))).status).toBe(404);
  expect(await posts.update(made.id, { "views+": 4 })).toMatchObject({ views: 5 });
  expect(await posts.delete(other.id)).toBe(true);
  expect((await refusal(() => posts.getOne(other.id))).status).toBe(404);
});

test("records: refusals carry data by field", async () => {
  const error = await refusal(() => root.collection("posts").create({ title: "" }));
  expect(error.response).toEqual({
    data: { title: { code: "validation_required", message: "Cannot be blank." } },
    message: "Failed to create record.",
    status: 400,
  });
});

test("auth: listAuthMethods, authWithPassword, authRefresh, impersonate", async () => {
  const pb = client();
  expect(await pb.collection("users").listAuthMethods()).toMatchObject({ password: { enabled: true } });
  const signed = await pb.collection("users").authWithPassword("ann@example.com", PASSWORD);
  expect(signed.record).toMatchObject({ email: "ann@example.com" });
  expect(pb.authStore.isValid).toBe(true);
  expect((await pb.collection("users").authRefresh()).record.id).toBe(signed.record.id);
  const acting = await root.collection("users").impersonate(signed.record.id, 60);
  expect(acting.authStore.record?.id).toBe(signed.record.id);
  const made = await acting.collection("posts").create({ title: "by ann" });
  expect(made["title"]).toBe("by ann");
});

test("auth: requestOTP answers an id whoever asks; a wrong one-time password is refused", async () => {
  const users = await root.collections.getOne("users");
  await root.collections.update(users.id, { otp: { enabled: true } });
  const pb = client();
  const { otpId } = await pb.collection("users").requestOTP("nobody@example.com");
  expect(otpId).toMatch(/^\w+$/);
  expect((await refusal(() => pb.collection("users").authWithOTP(otpId, "123456"))).status).toBe(400);
});

test("auth: requests and confirmations of verification, password and email", async () => {
  const users = client().collection("users");
  expect(await users.requestVerification("nobody@example.com")).toBe(true);
  expect(await users.requestPasswordReset("nobody@example.com")).toBe(true);
  expect((await refusal(() => users.confirmVerification("a.b.c"))).status).toBe(400);
  expect((await refusal(() => users.confirmPasswordReset("a.b.c", PASSWORD, PASSWORD))).status).toBe(400);
  expect((await refusal(() => users.confirmEmailChange("a.b.c", PASSWORD))).status).toBe(400);
  expect((await refusal(() => users.requestEmailChange("new@example.com"))).status).toBe(401);
  expect(
    (await refusal(() => users.authWithOAuth2Code("google", "code", "verifier", "http://x"))).status,
  ).toBe(403);
});

test("files: getURL, thumbs, getToken", async () => {
  const record = await root.collection("posts").create({
    title: "with files",
    image: new File([PNG], "dot.png", { type: "image/png" }),
  });
  const image = await fetch(root.files.getURL(record, record["image"], { thumb: "100x100" }));
  expect([image.status, image.headers.get("content-type")]).toEqual([200, "image/png"]);
  const kept = await root.collection("vault").create({ paper: new File(["secret"], "secret.txt") });
  const url = root.files.getURL(kept, kept["paper"]);
  expect((await fetch(url)).status).toBe(404);
  const token = await root.files.getToken();
  const shown = await fetch(root.files.getURL(kept, kept["paper"], { token, download: true }));
  expect(await shown.text()).toBe("secret");
  expect(shown.headers.get("content-disposition")).toStartWith("attachment");
});

test("settings: getAll, update, testS3, testEmail and generateAppleClientSecret refuse what cannot be", async () => {
  expect(Object.keys(await root.settings.getAll())[0]).toBe("superuserIPs");
  const updated = await root.settings.update({ meta: { appName: "Mine" } });
  expect(updated["meta"].appName).toBe("Mine");
  expect((await refusal(() => root.settings.testS3("storage"))).status).toBe(400);
  expect((await refusal(() => root.settings.testEmail("users", "no mail", "otp"))).status).toBe(400);
  const secret = (): Promise<unknown> => root.settings.generateAppleClientSecret("", "", "", "", 0);
  expect((await refusal(secret)).status).toBe(400);
});

test("health: check", async () => {
  expect(await client().health.check()).toMatchObject({ code: 200, message: "API is healthy." });
});

test("batch: create, update, upsert and delete in one transaction", async () => {
  await root.settings.update({ batch: { enabled: true } });
  const batch = root.createBatch();
  batch.collection("posts").create({ id: "batch0000000001", title: "one" });
  batch.collection("posts").update("batch0000000001", { "views+": 2 });
  batch
    .collection("posts")
    .upsert({ id: "batch0000000002", title: "two", image: new File([PNG], "dot.png") });
  batch.collection("posts").delete("batch0000000001");
  const results = await batch.send();
  expect(results.map(({ status }) => status)).toEqual([200, 200, 200, 204]);
  expect(results[1]?.body).toMatchObject({ views: 2 });
  expect(results[2]?.body["image"]).toMatch(/^dot_\w{10}_\w{10}\.png$/); // as PocketBase: an upsert names it twice
  const failing = root.createBatch();
  failing.collection("posts").create({ title: "three" });
  failing.collection("posts").create({ title: "" });
  const error = await refusal(() => failing.send());
  expect(error.response["data"].requests[1].response.data.title.code).toBe("validation_required");
  expect((await root.collection("posts").getList(1, 1, { filter: "title = 'three'" })).totalItems).toBe(0);
});

test("realtime: subscribe to one and all, with options, unsubscribe", async () => {
  const pb = client();
  const seen: string[] = [];
  const note = ({ action, record }: RecordSubscription): number => seen.push(`${action} ${record["title"]}`);
  await pb.collection("posts").subscribe("*", note, { filter: "title ~ 'live'", fields: "title" });
  await pb.collection("posts").subscribe("live00000000001", note);
  const posts = root.collection("posts");
  await posts.create({ id: "live00000000001", title: "live" });
  await posts.create({ title: "other" });
  await posts.update("live00000000001", { title: "live 2" });
  await posts.delete("live00000000001");
  const deadlineMs = Date.now() + 5_000;
  while (seen.length < 6 && Date.now() < deadlineMs) await Bun.sleep(10);
  expect(seen.toSorted()).toEqual([
    "create live",
    "create live",
    "delete live 2",
    "delete live 2",
    "update live 2",
    "update live 2",
  ]);
  await pb.collection("posts").unsubscribe();
  expect(pb.realtime.isConnected).toBe(false);
});

test("collections: getAllOAuth2Providers, dryRunViewQuery, getFirstListItem, getList", async () => {
  const providers = await root.collections.getAllOAuth2Providers();
  expect(providers.map(({ name }) => name)).toContain("google");
  const rows = await root.collections.dryRunViewQuery("SELECT id, email FROM users");
  expect(JSON.stringify(rows)).toContain("email");
  expect((await root.collections.getFirstListItem("name = 'posts'")).name).toBe("posts");
  expect(await root.collections.getList(1, 1)).toMatchObject({ page: 1, perPage: 1 });
});

test("auth: listExternalAuths and unlinkExternalAuth", async () => {
  const users = root.collection("users");
  const { id, collectionId } = await users.getFirstListItem("email ~ 'ann'");
  const linked = { collectionRef: collectionId, recordRef: id, provider: "google", providerId: "1" };
  await root.collection("_externalAuths").create(linked);
  expect(await users.listExternalAuths(id)).toMatchObject([{ provider: "google", recordRef: id }]);
  expect(await users.unlinkExternalAuth(id, "google")).toBe(true);
  expect(await users.listExternalAuths(id)).toEqual([]);
});

test("auth: authWithOAuth2 asks for a provider that is there", async () => {
  const pb = client();
  const signIn = () => pb.collection("users").authWithOAuth2({ provider: "google", urlCallback: () => {} });
  const error = await refusal(signIn);
  expect(error.originalError?.message ?? error.message).toContain("google");
});

test("sql: run", async () => {
  expect(await root.sql.run("SELECT 1 AS one")).toMatchObject({
    affectedRows: 0,
    columns: [{ name: "one" }],
    rows: [["1"]],
  });
  expect((await refusal(() => root.sql.run("SELEC"))).status).toBe(400);
  expect((await refusal(() => client().sql.run("SELECT 1"))).status).toBe(401);
});

test("realtime: unsubscribeByPrefix, the returned unsubscribe, custom topics, onDisconnect", async () => {
  const pb = client();
  const seen: string[] = [];
  const first = (): number => seen.push("first");
  const second = (): number => seen.push("second");
  const gone: string[][] = [];
  pb.realtime.onDisconnect = (topics) => void gone.push(topics);
  const unsubscribeFirst = await pb.realtime.subscribe("posts/*", first);
  await pb.realtime.subscribe("posts/*", second);
  await pb.realtime.subscribe("anything", first);
  await unsubscribeFirst();
  await root.collection("posts").create({ title: "for the second" });
  const deadlineMs = Date.now() + 5_000;
  while (seen.length < 1 && Date.now() < deadlineMs) await Bun.sleep(10);
  expect(seen).toEqual(["second"]);
  await pb.realtime.unsubscribeByPrefix("posts");
  expect(pb.realtime.isConnected).toBe(true);
  await pb.realtime.unsubscribe("anything");
  expect(pb.realtime.isConnected).toBe(false);
  expect(gone).toHaveLength(1);
});

test("client: filter, buildURL, send, beforeSend and afterSend, cancelRequest, a cookie of the store", async () => {
  const pb = client();
  pb.beforeSend = (url, options) => ({ url: url.replace("/nowhere", "/api/health"), options });
  pb.afterSend = (_, data: Record<string, unknown>) => ({ ...data, seen: true });
  expect(await pb.send("/nowhere", { query: { fields: "code" } })).toEqual({ code: 200, seen: true });
  expect(pb.buildURL("/api/health")).toBe(`${api.url}/api/health`);
  pb.autoCancellation(true);
  const cancelled = pb.health.check({ requestKey: "mine" });
  pb.cancelRequest("mine");
  expect((await refusal(() => cancelled)).isAbort).toBe(true);
  const both = [pb.health.check({ requestKey: "a" }), pb.health.check({ requestKey: "b" })];
  pb.cancelAllRequests();
  for (const one of both) expect((await refusal(() => one)).isAbort).toBe(true);
  await pb.collection("users").authWithPassword("ann@example.com", PASSWORD);
  const other = client();
  other.authStore.loadFromCookie(pb.authStore.exportToCookie());
  expect((await other.collection("users").authRefresh()).record["email"]).toBe("ann@example.com");
});

test("backups: create, getFullList, getToken, getDownloadURL, upload, restore, delete", async () => {
  expect(await root.backups.create("one.zip")).toBe(true);
  const [listed] = await root.backups.getFullList();
  expect(listed?.key).toBe("one.zip");
  const download = await fetch(root.backups.getDownloadURL(await root.files.getToken(), "one.zip"));
  const bytes = await download.arrayBuffer();
  expect(bytes.byteLength).toBe(listed?.size ?? 0);
  expect(await root.backups.upload({ file: new File([bytes], "two.zip") })).toBe(true);
  const late = await root.collection("posts").create({ title: "after the backup" });
  expect(await root.backups.restore("two.zip")).toBe(true);
  const deadlineMs = Date.now() + 10_000;
  const isThere = () =>
    root
      .collection("posts")
      .getOne(late.id)
      .then(
        () => true,
        () => false,
      );
  while ((await isThere()) && Date.now() < deadlineMs) await Bun.sleep(20);
  expect(await isThere()).toBe(false);
  expect(await root.backups.delete("one.zip")).toBe(true);
  expect(await root.backups.delete("two.zip")).toBe(true);
});

test("logs: getOne, truncate", async () => {
  const { items } = await root.logs.getList(1, 1);
  const { id } = items[0] ?? { id: "" };
  expect((await root.logs.getOne(id)).id).toBe(id);
  expect(await root.logs.truncate()).toBe(true);
  expect((await refusal(() => root.logs.getOne(id))).status).toBe(404);
  expect((await refusal(() => client().logs.truncate())).status).toBe(401);
});

test("logs, crons, backups: their lists and refusals", async () => {
  expect(await root.logs.getList(1, 1)).toMatchObject({ page: 1, perPage: 1 });
  expect(Array.isArray(await root.logs.getStats())).toBe(true);
  expect((await refusal(() => root.logs.getOne("nothing"))).status).toBe(404);
  const jobs = await root.crons.getFullList();
  expect(jobs.map(({ id }) => id)).toContain("__pbLogsCleanup__");
  expect(await root.crons.run("__pbOTPCleanup__")).toBe(true);
  expect((await refusal(() => root.crons.run("nothing"))).status).toBe(404);
  expect(await root.backups.getFullList()).toEqual([]);
  expect((await refusal(() => root.backups.create("bad name"))).status).toBe(400);
  expect((await refusal(() => root.backups.delete("nothing.zip"))).status).toBe(400);
});
