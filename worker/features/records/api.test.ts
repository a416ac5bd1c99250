/** The records API request by request: status and body. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";

let api: TestApi;
const tokens = { root: "", ann: "", guest: "" };
const ids = { ann: "", bob: "", open: "openpost0000001", mine: "minepost0000001", hidden: "hiddenpost00001" };

type Who = keyof typeof tokens;
interface Answer {
  status: number;
  text: string;
  json: Record<string, unknown>;
  headers: Headers;
}

async function ask(
  who: Who,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const init: RequestInit = { method, headers: { ...headers } };
  const sent = init.headers as Record<string, string>;
  if (tokens[who] !== "") sent["authorization"] = tokens[who];
  if (body instanceof FormData || body instanceof URLSearchParams || typeof body === "string") {
    init.body = body;
  } else if (body !== undefined) {
    sent["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  const response = await fetch(api.url + path, init);
  const text = await response.text();
  const isJson = response.headers.get("content-type") === "application/json" && text !== "";
  return {
    status: response.status,
    text,
    json: isJson ? (JSON.parse(text) as Record<string, unknown>) : {},
    headers: response.headers,
  };
}

const posts = "/api/collections/posts/records";
const secret = { status: 403, message: "Only superusers can perform this action.", data: {} };
const missing = { status: 404, message: "The requested resource wasn't found.", data: {} };
const generic = { status: 400, message: "Something went wrong while processing your request.", data: {} };

beforeAll(async () => {
  api = await startTestApi("async");
  const login = await ask("guest", "POST", "/api/collections/_superusers/auth-with-password", {
    identity: SUPERUSER.email,
    password: SUPERUSER.password,
  });
  tokens.root = String(login.json["token"]);
  for (const name of ["ann", "bob"] as const) {
    const password = "12345678";
    const user = { email: `${name}@example.com`, name, password, passwordConfirm: password };
    ids[name] = String((await ask("root", "POST", "/api/collections/users/records", user)).json["id"]);
  }
  const signedIn = await ask("guest", "POST", "/api/collections/users/auth-with-password", {
    identity: "ann@example.com",
    password: "12345678",
  });
  tokens.ann = String(signedIn.json["token"]);
  const owner = "owner = @request.auth.id";
  const created = await ask("root", "POST", "/api/collections", {
    name: "posts",
    type: "base",
    listRule: `public = true || ${owner}`,
    viewRule: `public = true || ${owner}`,
    createRule: `@request.auth.id != '' && ${owner} && title != 'forbidden'`,
    updateRule: `${owner} && (@request.body.owner:isset = false || @request.body.owner = @request.auth.id)`,
    deleteRule: owner,
    indexes: ["CREATE UNIQUE INDEX idx_posts_slug ON posts (slug) WHERE slug != ''"],
    fields: [
      { name: "title", type: "text", required: true, max: 20 },
      { name: "slug", type: "text" },
      { name: "views", type: "number" },
      { name: "public", type: "bool" },
      { name: "secret", type: "text", hidden: true },
      { name: "tags", type: "select", values: ["a", "b", "c"], maxSelect: 3 },
      { name: "meta", type: "json" },
      { name: "owner", type: "relation", collectionId: "_pb_users_auth_", maxSelect: 1 },
    ],
  });
  expect(created.status).toBe(200);
  for (const [id, owner, isPublic] of [
    [ids.open, ids.bob, true],
    [ids.mine, ids.ann, false],
    [ids.hidden, ids.bob, false],
  ]) {
    const post = { id, owner, public: isPublic, title: `title of ${String(id).slice(0, 4)}`, secret: "s" };
    expect((await ask("root", "POST", posts, post)).status).toBe(200);
  }
  await ask("root", "POST", "/api/collections", { name: "locked", type: "base", fields: [] });
});
afterAll(() => api.close());

describe("status and body", () => {
  type Row = [
    name: string,
    who: Who,
    method: string,
    path: string,
    body: unknown,
    status: number,
    expected: unknown,
  ];
  const table = (): Row[] => [
    [
      "list under a rule, guest",
      "guest",
      "GET",
      `${posts}?fields=id`,
      undefined,
      200,
      { items: [{ id: ids.open }], totalItems: 1 },
    ],
    [
      "list under a rule, owner",
      "ann",
      "GET",
      `${posts}?fields=id&sort=id`,
      undefined,
      200,
      { items: [{ id: ids.mine }, { id: ids.open }] },
    ],
    [
      "list as superuser",
      "root",
      "GET",
      `${posts}?perPage=2&page=2`,
      undefined,
      200,
      { totalItems: 3, totalPages: 2, page: 2 },
    ],
    [
      "list without totals",
      "root",
      "GET",
      `${posts}?skipTotal=1`,
      undefined,
      200,
      { totalItems: -1, totalPages: -1 },
    ],
    ["list locked", "ann", "GET", "/api/collections/locked/records", undefined, 403, secret],
    [
      "list of no collection",
      "root",
      "GET",
      "/api/collections/nothing/records",
      undefined,
      404,
      { ...missing, message: "Missing collection context." },
    ],
    ["list with a bad number", "root", "GET", `${posts}?page=one`, undefined, 400, generic],
    ["list with an unknown field", "root", "GET", `${posts}?filter=zzz=1`, undefined, 400, generic],
    ["list by a hidden field", "ann", "GET", `${posts}?filter=secret='s'`, undefined, 400, generic],
    [
      "list by a hidden field, superuser",
      "root",
      "GET",
      `${posts}?filter=secret='s'`,
      undefined,
      200,
      { totalItems: 3 },
    ],
    [
      "list by @request, user",
      "ann",
      "GET",
      `${posts}?filter=@request.auth.id!=''`,
      undefined,
      403,
      { message: "Only superusers can filter by @request." },
    ],
    [
      "several filters all hold",
      "root",
      "GET",
      `${posts}?filter=public=true&filter=id!=''`,
      undefined,
      200,
      { totalItems: 1 },
    ],
    [
      "view",
      "guest",
      "GET",
      `${posts}/${ids.open}`,
      undefined,
      200,
      { id: ids.open, collectionName: "posts" },
    ],
    ["view what the rule hides", "guest", "GET", `${posts}/${ids.hidden}`, undefined, 404, missing],
    ["view what is not there", "root", "GET", `${posts}/nope`, undefined, 404, missing],
    [
      "create as guest",
      "guest",
      "POST",
      posts,
      { title: "x" },
      400,
      { status: 400, message: "Failed to create record.", data: {} },
    ],
    [
      "create what the rule refuses",
      "ann",
      "POST",
      posts,
      { title: "forbidden", owner: ids.ann },
      400,
      { message: "Failed to create record.", data: {} },
    ],
    ["create for another owner", "ann", "POST", posts, { title: "x", owner: ids.bob }, 400, { data: {} }],
    [
      "create",
      "ann",
      "POST",
      posts,
      { title: "<i>", owner: ids.ann, secret: "try" },
      200,
      { title: "<i>", owner: ids.ann },
    ],
    [
      "create invalid",
      "root",
      "POST",
      posts,
      { title: "x".repeat(21), tags: ["z"], owner: "nope" },
      400,
      {
        data: {
          title: { code: "validation_max_text_constraint" },
          tags: { code: "validation_invalid_value" },
          owner: { code: "validation_missing_rel_records" },
        },
      },
    ],
    [
      "create with a taken id",
      "root",
      "POST",
      posts,
      { id: ids.open, title: "x" },
      400,
      { data: { id: { code: "validation_not_unique" } } },
    ],
    ["create locked", "ann", "POST", "/api/collections/locked/records", {}, 403, secret],
    ["create from an array", "root", "POST", posts, "[1]", 400, generic],
    [
      "update own",
      "ann",
      "PATCH",
      `${posts}/${ids.mine}`,
      { "views+": 3, "tags+": ["a", "b"] },
      200,
      { views: 3, tags: ["a", "b"] },
    ],
    ["update another's", "ann", "PATCH", `${posts}/${ids.open}`, { title: "x" }, 404, missing],
    ["give away", "ann", "PATCH", `${posts}/${ids.mine}`, { owner: ids.bob }, 404, missing],
    ["update what is not there", "root", "PATCH", `${posts}/nope`, {}, 404, missing],
    ["delete another's", "ann", "DELETE", `${posts}/${ids.open}`, undefined, 404, missing],
    ["unknown path", "root", "GET", "/api/nope", undefined, 404, { ...missing, message: "File not found." }],
    ["another method", "root", "PUT", posts, {}, 404, missing],
  ];
  test("table of requests", async () => {
    for (const [name, who, method, path, body, status, expected] of table()) {
      const sentJson = typeof body === "string" ? { "content-type": "application/json" } : {};
      const answer = await ask(who, method, path, body, sentJson);
      expect({ name, status: answer.status, json: answer.json }).toMatchObject({
        name,
        status,
        json: expected,
      });
    }
  });
});

test("a record's keys are sorted, hidden fields are for superusers, and <>& are escaped", async () => {
  const created = await ask("root", "POST", posts, { title: "<&>" });
  expect(Object.keys(created.json)).toEqual(Object.keys(created.json).toSorted());
  expect(created.text).toContain('"title":"\\u003c\\u0026\\u003e"');
  expect(created.text.endsWith("}\n")).toBe(true);
  expect(created.json).toHaveProperty("secret");
  expect((await ask("guest", "GET", `${posts}/${ids.open}`)).json).not.toHaveProperty("secret");
});

test("unique violations are told by field and leave nothing behind", async () => {
  expect((await ask("root", "POST", posts, { title: "1", slug: "same" })).status).toBe(200);
  const second = await ask("root", "POST", posts, { title: "2", slug: "same" });
  expect(second.json).toMatchObject({ status: 400, data: { slug: { code: "validation_not_unique" } } });
  expect((await ask("root", "GET", `${posts}?filter=slug='same'`)).json).toMatchObject({ totalItems: 1 });
});

test("form bodies: values are inferred, @jsonPayload is not", async () => {
  const form = new FormData();
  for (const [key, value] of [
    ["title", "7"],
    ["views", "2.5"],
    ["public", "true"],
    ["tags", "a"],
    ["tags", "b"],
    ["@jsonPayload", `{"meta":{"a":"1"}}`],
  ]) {
    form.append(key ?? "", value ?? "");
  }
  const expected = { title: "7", views: 2.5, public: true, tags: ["a", "b"] };
  expect((await ask("root", "POST", posts, form)).json).toMatchObject({ ...expected, meta: { a: "1" } });
  const encoded = new URLSearchParams([
    ["title", "7"],
    ["views", "2.5"],
    ["public", "true"],
    ["tags", "a"],
    ["tags", "b"],
  ]);
  expect((await ask("root", "POST", posts, encoded)).json).toMatchObject(expected);
  expect((await ask("root", "POST", posts, "a", { "content-type": "text/csv" })).status).toBe(400);
});

test("expand follows relations and back relations under their view rules", async () => {
  const expanded = async (who: Who, path: string) => (await ask(who, "GET", path)).json["expand"];
  const owned = `${posts}/${ids.mine}?expand=owner`;
  expect(await expanded("ann", owned)).toMatchObject({ owner: { id: ids.ann, email: "ann@example.com" } });
  // The owner of an open post is visible to nobody but the owner: the path is valid and leads to nothing.
  expect(await expanded("guest", `${posts}/${ids.open}?expand=owner`)).toEqual({});
  expect(await expanded("guest", `${posts}/${ids.open}?expand=nothing`)).toBeUndefined();
  const back = await expanded(
    "ann",
    `/api/collections/users/records/${ids.ann}?expand=posts_via_owner.owner`,
  );
  expect(back).toMatchObject({ posts_via_owner: [{ expand: { owner: { id: ids.ann } } }, {}] });
});

test("emails show to their owner and superusers unless made visible", async () => {
  const bob = `/api/collections/users/records/${ids.bob}`;
  expect((await ask("root", "GET", bob)).json["email"]).toBe("bob@example.com");
  const updated = await ask("root", "PATCH", "/api/collections/users", { listRule: "", viewRule: "" });
  expect(updated.status).toBe(200);
  expect((await ask("ann", "GET", bob)).json).not.toHaveProperty("email");
  await ask("root", "PATCH", bob, { emailVisibility: true });
  expect((await ask("guest", "GET", bob)).json["email"]).toBe("bob@example.com");
});

test("HEAD, preflight and headers of every answer", async () => {
  const head = await ask("guest", "HEAD", "/api/health");
  expect([head.status, head.text, head.headers.get("content-length")]).toEqual([200, "", "51"]);
  const plain = await ask("guest", "GET", "/api/health", undefined, { origin: "https://app.example.com" });
  expect(plain.headers.get("access-control-allow-origin")).toBe("*");
  expect(plain.headers.get("x-content-type-options")).toBe("nosniff");
  expect(plain.headers.get("x-frame-options")).toBe("SAMEORIGIN");
  const missed = await ask("guest", "GET", "/api/nothing", undefined, { origin: "https://app.example.com" });
  expect([missed.status, missed.headers.get("access-control-allow-origin")]).toEqual([404, "*"]);
  const preflight = await ask("guest", "OPTIONS", posts, undefined, {
    origin: "https://app.example.com",
    "access-control-request-headers": "authorization",
  });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get("access-control-allow-headers")).toBe("authorization");
});

test("paths: what needs no escape is plain, a broken escape is refused, double slashes lead to single ones", async () => {
  const raw = (method: string, path: string): Promise<Response> =>
    fetch(api.url + path, { method, redirect: "manual" });
  expect((await ask("guest", "GET", "/api/%68ealth")).status).toBe(200);
  expect((await ask("guest", "GET", posts.replace("records", "%72ecords"))).status).toBe(200);
  // Decoded once only.
  expect((await ask("guest", "GET", posts.replace("records", "%2572ecords"))).status).toBe(404);
  for (const path of ["/api/%zz", "/api/health%4", "/api/collections/%/records"]) {
    const refused = await raw("GET", path);
    expect([refused.status, await refused.text()]).toEqual([400, "400 Bad Request"]);
    expect(refused.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  }
  const moved = await raw("GET", "//api///health?a=1&b=//");
  expect([moved.status, moved.headers.get("location")]).toEqual([307, "/api/health?a=1&b=//"]);
  expect(await moved.text()).toBe('<a href="/api/health?a=1&amp;b=//">Temporary Redirect</a>.\n\n');
  const posted = await raw("POST", "/api//batch");
  expect([posted.status, posted.headers.get("location"), await posted.text()]).toEqual([
    307,
    "/api/batch",
    "",
  ]);
  expect(posted.headers.get("content-type")).toBeNull();
});

test("a body larger than the collection's limit is refused before it is read", async () => {
  const tooLarge = await ask("root", "POST", posts, `{"title":"${"x".repeat(40 * 1024 * 1024)}"}`, {
    "content-type": "application/json",
  });
  expect(tooLarge.json).toEqual({ status: 413, message: "Request entity too large.", data: {} });
});
