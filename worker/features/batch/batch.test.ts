import { afterAll, beforeAll, expect, test } from "bun:test";
import PocketBase, { type RecordModel } from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";

let api: TestApi;
let root: PocketBase;
const NOTES = "/api/collections/notes/records";

beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.settings.update({ batch: { enabled: true, maxRequests: 10, timeout: 3 } });
  await root.collections.create({
    name: "notes",
    type: "base",
    createRule: "@request.method = 'POST' && @request.query.q != 'x'",
    updateRule: "@request.method = 'PATCH' && @request.query.q != 'x'",
    viewRule: "",
    fields: [
      { name: "title", type: "text" },
      { name: "files", type: "file", maxSelect: 5 },
    ],
  });
});
afterAll(() => api.close());

type Answer = [status: number, body: unknown];

async function ask(body: BodyInit, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`${api.url}/api/batch`, { method: "POST", body, headers });
  return [response.status, await response.json()];
}
const askJson = (body: unknown): Promise<Answer> =>
  ask(JSON.stringify(body), { "content-type": "application/json" });

test("an upsert is under the create rule's method, then under the update rule's", async () => {
  const upsert = (title: string) =>
    askJson({ requests: [{ method: "PUT", url: NOTES, body: { id: "upsert000000001", title } }] });
  expect((await upsert("first"))[0]).toBe(200);
  expect(await upsert("second")).toMatchObject([200, [{ status: 200, body: { title: "second" } }]]);
});

/** method, url, the status of the only request */
test.each([
  ["POST", `${NOTES}?q=y#part`, 200],
  ["POST", `${NOTES}?q=x#part`, 400],
  ["POST", `${NOTES}?q=%zz`, 400],
  ["POST", `${NOTES}?q=y;z=1`, 400],
  ["POST", "/api/collections/%6eotes/records", 404],
  ["POST", "/api/collections/%zzotes/records", 400],
  ["PATCH", `${NOTES}/upsert00000000%31`, 404],
  ["PATCH", `${NOTES}/upsert000000001`, 200],
  ["POST", `${NOTES}?q=${"é".repeat(1000)}`, undefined],
])("%s %s is answered with %p", async (method, url, status) => {
  const [, body] = await askJson({ requests: [{ method, url, body: { title: "t" } }] });
  const failed = (body as { data?: { requests?: { 0?: { response?: { status: number } } } } }).data;
  const succeeded = Array.isArray(body) ? (body as { status: number }[])[0]?.status : undefined;
  expect(succeeded ?? failed?.requests?.[0]?.response?.status).toBe(status);
});

test("names are read in any case", async () => {
  const [status] = await askJson({ Requests: [{ METHOD: "POST", Url: NOTES, Body: { title: "t" } }] });
  expect(status).toBe(200);
});

test("uploads take the place of the names that the body has", async () => {
  const notes = root.collection("notes");
  const { id, files } = await notes.create<RecordModel & { files: string[] }>({
    files: [new File(["1"], "one.txt"), new File(["2"], "two.txt")],
  });
  const form = new FormData();
  const request = { method: "PATCH", url: `${NOTES}/${id}`, body: { files, title: "kept" } };
  form.append("@jsonPayload", JSON.stringify({ requests: [request] }));
  form.append("requests.0.files", new File(["3"], "three.txt"));
  const [status, body] = await ask(form);
  expect([status, body]).toMatchObject([
    200,
    [{ body: { title: "kept", files: [expect.stringContaining("three")] } }],
  ]);
});
