import { afterAll, beforeAll, expect, test } from "bun:test";
import { SUPERUSER, startTestApi, type TestApi } from "../../app-testing.ts";
import { limits } from "../../../shared/limits.ts";
import { modelOf } from "../../model/model.ts";

let api: TestApi;
let token: string;

beforeAll(async () => {
  api = await startTestApi();
  const response = await fetch(`${api.url}/api/collections/_superusers/auth-with-password`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ identity: SUPERUSER.email, password: SUPERUSER.password }),
  });
  token = ((await response.json()) as { token: string }).token;
});
afterAll(() => api.close());

async function call(
  method: string,
  path: string,
  body?: unknown,
  authorization: string | undefined = token,
): Promise<{ status: number; json: unknown; text: string }> {
  const response = await fetch(`${api.url}/api/collections${path}`, {
    method,
    headers: {
      ...(authorization === "" ? {} : { authorization }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text, json: text === "" ? undefined : JSON.parse(text) };
}

test.each([
  ["GET", ""],
  ["POST", ""],
  ["GET", "/users"],
  ["PATCH", "/users"],
  ["DELETE", "/users"],
  ["DELETE", "/users/truncate"],
  ["PUT", "/import"],
  ["GET", "/meta/scaffolds"],
  ["POST", "/meta/dry-run-view"],
])("%s %s asks for a superuser", async (method, path) => {
  expect(await call(method, path, undefined, "")).toMatchObject({
    status: 401,
    json: { data: {}, message: "The request requires valid record authorization token.", status: 401 },
  });
});

test("create, view, update, delete", async () => {
  const input = { name: "posts", type: "base", fields: [{ type: "text", name: "title" }] };
  const created = await call("POST", "", input);
  expect(created.status).toBe(200);
  expect(Object.keys(created.json as object)).toEqual([
    "id",
    "listRule",
    "viewRule",
    "createRule",
    "updateRule",
    "deleteRule",
    "name",
    "type",
    "fields",
    "indexes",
    "created",
    "updated",
    "system",
  ]);
  expect((await call("GET", "/POSTS")).json).toEqual(created.json);
  expect((await call("PATCH", "/posts", { name: "articles", listRule: "" })).json).toMatchObject({
    name: "articles",
    listRule: "",
  });
  expect((await call("GET", "/posts")).status).toBe(404);
  expect(await call("DELETE", "/articles")).toEqual({ status: 204, json: undefined, text: "" });
});

test("secrets are never shown", async () => {
  const { text } = await call("PATCH", "/users", {
    oauth2: { enabled: true, providers: [{ name: "google", clientId: "a", clientSecret: "hush" }] },
    authToken: { secret: "a".repeat(40) },
  });
  expect(text).not.toContain("ecret");
  expect(text).toContain('"authToken":{"duration":432000}');
  const stored = modelOf(api.tenant).schema.find("users")?.options;
  expect(stored).toMatchObject({
    authToken: { secret: "a".repeat(40) },
    oauth2: { providers: [{ clientSecret: "hush" }] },
  });
});

/** method, path, body, status, part of the answer */
test.each<[string, string, unknown, number, unknown]>([
  ["GET", "/nothing", undefined, 404, { message: "The requested resource wasn't found." }],
  [
    "POST",
    "",
    { name: "", type: "base" },
    400,
    {
      message: "Failed to create collection.",
      data: { name: { code: "validation_required", message: "Cannot be blank." } },
    },
  ],
  [
    "POST",
    "",
    { name: 1 },
    400,
    { message: "Failed to load the collection type data due to invalid formatting.", data: {} },
  ],
  [
    "POST",
    "",
    { name: "x", fields: [{ type: "nothing" }] },
    400,
    { message: "Failed to load the submitted data due to invalid formatting." },
  ],
  ["PATCH", "/users", { type: "base" }, 400, { message: "Failed to update collection." }],
  ["DELETE", "/_superusers", undefined, 400, { message: "Failed to delete collection.", data: {} }],
  ["PUT", "/import", {}, 400, { data: { collections: { code: "validation_required" } } }],
  [
    "PUT",
    "/import",
    { collections: [{ name: "a b" }] },
    400,
    {
      message: "Failed to import collections.",
      data: { collections: { code: "validation_collections_import_failure" } },
    },
  ],
  ["POST", "/meta/dry-run-view", {}, 400, { data: { query: { code: "validation_required" } } }],
  [
    "POST",
    "/meta/dry-run-view",
    { query: "select 1" },
    400,
    { message: expect.stringContaining("Invalid view query. Raw error: ") },
  ],
  [
    "GET",
    "?filter=fields~'x'",
    undefined,
    400,
    { message: "Something went wrong while processing your request." },
  ],
  [
    "PATCH",
    "/users",
    { indexes: [5] },
    400,
    { message: "Failed to load the submitted data due to invalid formatting." },
  ],
  ["PATCH", "/users", [], 400, { message: "Failed to load the submitted data due to invalid formatting." }],
  [
    "PUT",
    "/import",
    { collections: [[]] },
    400,
    { message: "An error occurred while loading the submitted data." },
  ],
  [
    "POST",
    "/meta/dry-run-view",
    { query: "select id from users union select id from users" },
    400,
    { message: 'Invalid view query. Raw error: \ninvalid identifier part - expected "as", got union.' },
  ],
  ["GET", "?filter=name:lower='users'", undefined, 400, {}],
  ["GET", "?skipTotal=x", undefined, 400, {}],
  ["GET", "?page=x", undefined, 400, {}],
])("%s %s %p answers %p", async (method, path, body, status, expected) => {
  const answer = await call(method, path, body);
  expect(answer).toMatchObject({ status, json: expected as object });
});

test("list filters, sorts and pages", async () => {
  const names = (answer: { json: unknown }): string[] =>
    (answer.json as { items: { name: string }[] }).items.map(({ name }) => name);
  const all = await call("GET", "?filter=system=true&sort=-name");
  expect(all.json).toMatchObject({ page: 1, perPage: 30, totalItems: 5, totalPages: 1 });
  expect(names(all)).toEqual(["_superusers", "_otps", "_mfas", "_externalAuths", "_authOrigins"]);
  const page = await call("GET", `?page=2&perPage=2&skipTotal=1&sort=name`);
  expect(page.json).toMatchObject({ page: 2, perPage: 2, totalItems: -1, totalPages: -1 });
  expect(names(page)).toEqual(["_mfas", "_otps"]);
});

test("truncate empties a collection, and refuses views", async () => {
  await call("POST", "", { name: "notes", fields: [{ type: "text", name: "a" }] });
  await call("POST", "", { name: "seen", type: "view", viewQuery: "select id, a from notes" });
  expect((await call("DELETE", "/notes/truncate")).status).toBe(204);
  expect(await call("DELETE", "/seen/truncate")).toMatchObject({
    status: 400,
    json: { message: "View collections cannot be truncated since they don't store their own records." },
  });
});

test("a refused delete names what refers to the collection", async () => {
  const { json } = await call("POST", "", { name: "target" });
  const { id } = json as { id: string };
  await call("POST", "", { name: "source", fields: [{ type: "relation", name: "r", collectionId: id }] });
  expect(await call("DELETE", "/target")).toMatchObject({
    status: 400,
    json: { message: "Failed to delete collection probably due to existing reference in source." },
  });
});

test("scaffolds have no id or name; default index names differ each time", async () => {
  const { json, text } = await call("GET", "/meta/scaffolds");
  expect(Object.keys(json as object)).toEqual(["auth", "base", "view"]);
  expect(json).toMatchObject({
    auth: { id: "", name: "", type: "auth" },
    view: { viewQuery: "", fields: [] },
  });
  expect((await call("GET", "/meta/scaffolds")).text).not.toBe(text);
});

test("a dry run shows fields and rows and keeps nothing", async () => {
  const before = modelOf(api.tenant).schema;
  const answer = await call("POST", "/meta/dry-run-view", {
    query: "select id, email, count(*) as n from _superusers",
  });
  expect(answer).toMatchObject({
    status: 200,
    json: {
      fields: [
        { name: "id", type: "text" },
        { name: "email", type: "email" },
        { name: "n", type: "number" },
      ],
      sample: [
        { collectionName: expect.stringMatching(/^temp_view_\w{5}$/), email: "root@example.com", n: 1 },
      ],
    },
  });
  expect(modelOf(api.tenant).schema).toBe(before);
  const views = api.tenant.data.read(api.tenant.observe(), (db) =>
    db.values("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'temp_view%'"),
  );
  expect(views).toEqual([[0]]);
});

test.each(["", ", 2 AS `more`"])("a view that reads no table shows its new query at once%s", async (more) => {
  const name = `constant${more.length}`;
  const viewQuery = `SELECT 'a' AS id, 1 AS n${more}`;
  expect((await call("POST", "", { name, type: "view", viewQuery })).status).toBe(200);
  const rows = async () => ((await call("GET", `/${name}/records`)).json as { items: unknown[] }).items;
  expect(await rows()).toMatchObject([{ id: "a", n: 1 }]);
  const changed = viewQuery.replace("1 AS n", "7 AS n");
  expect((await call("PATCH", `/${name}`, { viewQuery: changed })).status).toBe(200);
  expect(await rows()).toMatchObject([{ id: "a", n: 7 }]);
});

test("import replaces the configuration", async () => {
  const exported = (await call("GET", "?perPage=200")).json as { items: Record<string, unknown>[] };
  const collections = exported.items.filter(({ name }) => name !== "source");
  expect(await call("PUT", "/import", { collections, deleteMissing: true })).toMatchObject({ status: 204 });
  expect((await call("GET", "/source")).status).toBe(404);
  expect((await call("GET", "/target")).status).toBe(200);
});

test("an import is bounded", async () => {
  const max = limits.collectionsImportMax;
  const collections = Array.from({ length: max + 1 }, () => ({}));
  expect(await call("PUT", "/import", { collections })).toMatchObject({
    status: 400,
    json: { data: { collections: { code: "validation_length_too_long", params: { max } } } },
  });
  expect(await call("PUT", "/import", { collections: collections.slice(1) })).toMatchObject({
    status: 400,
    json: { data: { collections: { code: "validation_collections_import_failure" } } },
  });
});
