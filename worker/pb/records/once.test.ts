/** Requests with an Idempotency-Key, against the whole API. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";

let api: TestApi;
let root = "";
beforeAll(async () => {
  api = await startTestApi("async");
  const login = await send("POST", "/api/collections/_superusers/auth-with-password", {
    identity: SUPERUSER.email,
    password: SUPERUSER.password,
  });
  root = login.json.token ?? "";
  await send("PATCH", "/api/settings", { batch: { enabled: true, maxRequests: 10, timeout: 5 } });
  await send("POST", "/api/collections", {
    name: "notes",
    type: "base",
    createRule: "",
    listRule: "",
    fields: [
      { name: "text", type: "text" },
      { name: "file", type: "file", maxSelect: 1, maxSize: 100_000 },
    ],
  });
});
afterAll(() => api.close());

async function send(method: string, path: string, body?: unknown, key?: string, token = root) {
  const form = body instanceof FormData;
  const response = await fetch(api.url + path, {
    method,
    headers: {
      ...(token === "" ? {} : { authorization: token }),
      ...(form || body === undefined ? {} : { "content-type": "application/json" }),
      ...(key === undefined ? {} : { "idempotency-key": key }),
    },
    ...(body === undefined ? {} : { body: form ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    json: (text === "" ? {} : JSON.parse(text)) as {
      id?: string;
      token?: string;
      text?: string;
      file?: string;
    },
  };
}

const NOTES = "/api/collections/notes/records";
const count = (): number =>
  api.tenant.data.read(
    api.tenant.observe(),
    (db) => db.get<{ n: number }>("SELECT count(*) AS n FROM notes")?.n ?? 0,
  );

describe("a request with an Idempotency-Key", () => {
  test("creates once, and answers the same again", async () => {
    const before = count();
    const first = await send("POST", NOTES, { text: "a" }, "k1");
    const again = await send("POST", NOTES, { text: "a" }, "k1");
    expect(first.status).toBe(200);
    expect(again).toEqual(first);
    expect(count()).toBe(before + 1);
  });

  test("runs once when it comes twice at a time, also with a file", async () => {
    const before = count();
    const form = (): FormData => {
      const data = new FormData();
      data.set("text", "f");
      data.set("file", new File(["hello"], "a.txt"));
      return data;
    };
    const both = await Promise.all([send("POST", NOTES, form(), "k2"), send("POST", NOTES, form(), "k2")]);
    expect(both[0]).toEqual(both[1]);
    expect(both[0].json.file).toMatch(/^a\w+\.txt$/);
    expect(count()).toBe(before + 1);
  });

  test("updates and deletes once", async () => {
    const { json } = await send("POST", NOTES, { text: "u" });
    const at = `${NOTES}/${json.id}`;
    const first = await send("PATCH", at, { text: "v" }, "k3");
    await send("PATCH", at, { text: "w" });
    expect(await send("PATCH", at, { text: "v" }, "k3")).toEqual(first);
    expect((await send("GET", at)).json.text).toBe("w");
    for (let i = 0; i < 2; i++) expect((await send("DELETE", at, undefined, "k4")).status).toBe(204);
    expect((await send("DELETE", at)).status).toBe(404);
  });

  test("runs a batch once", async () => {
    const before = count();
    const requests = [1, 2].map((n) => ({ method: "POST", url: NOTES, body: { text: `b${n}` } }));
    const first = await send("POST", "/api/batch", { requests }, "k5");
    expect(first.status).toBe(200);
    expect(await send("POST", "/api/batch", { requests }, "k5")).toEqual(first);
    expect(count()).toBe(before + 2);
  });

  test("with another body, or of another path, is refused", async () => {
    await send("POST", NOTES, { text: "a" }, "k6");
    expect((await send("POST", NOTES, { text: "b" }, "k6")).status).toBe(422);
    expect((await send("POST", `${NOTES}?expand=x`, { text: "a" }, "k6")).status).toBe(422);
  });

  test("of somebody else is another one, and one that failed runs again", async () => {
    const before = count();
    await send("POST", NOTES, { text: "a" }, "k7");
    await send("POST", NOTES, { text: "a" }, "k7", "");
    expect(count()).toBe(before + 2);
    expect((await send("POST", NOTES, { id: "bad id" }, "k8")).status).toBe(400);
    expect((await send("POST", NOTES, { text: "good" }, "k8")).status).toBe(200);
  });

  test("without a key runs each time, and no key leaves a table behind in the API", async () => {
    const before = count();
    await send("POST", NOTES, { text: "a" });
    await send("POST", NOTES, { text: "a" });
    expect(count()).toBe(before + 2);
    const { json } = await send("GET", "/api/collections?perPage=100");
    expect(JSON.stringify(json)).not.toContain("_mb_");
  });
});
