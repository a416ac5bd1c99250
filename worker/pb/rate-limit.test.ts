import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../app-testing.ts";

setDefaultTimeout(60_000);

let api: TestApi;
let root: PocketBase;

beforeAll(async () => {
  api = await startTestApi("async");
  root = new PocketBase(api.url);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "notes",
    type: "base",
    createRule: "",
    fields: [{ name: "t", type: "text" }],
  });
  await root.settings.update({ batch: { enabled: true, maxRequests: 10, timeout: 3 } });
});
afterAll(() => api.close());

const limit = (label: string, maxRequests: number): Promise<unknown> =>
  root.settings.update({
    rateLimits: { enabled: true, rules: [{ label, maxRequests, duration: 600, audience: "" }] },
  });

test("what no route answers is limited too", async () => {
  await limit("/api/", 2);
  const statuses: number[] = [];
  for (let index = 0; index < 3; index++) statuses.push((await fetch(`${api.url}/api/missing`)).status);
  expect(statuses).toEqual([404, 404, 429]);
});

test("an item of a batch is limited as the request that it stands for", async () => {
  await limit("notes:create", 1);
  const create = (id: string) => ({ method: "POST", url: "/api/collections/notes/records", body: { id } });
  const batch = async (...requests: unknown[]): Promise<unknown> => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ requests });
    return (await fetch(`${api.url}/api/batch`, { method: "POST", headers, body })).json();
  };
  expect(await batch(create("a".repeat(15)), create("b".repeat(15)))).toEqual({
    status: 400,
    message: "Batch transaction failed.",
    data: {
      requests: {
        1: {
          code: "batch_request_failed",
          message: "Batch request failed.",
          response: { status: 429, message: "Too Many Requests.", data: {} },
        },
      },
    },
  });
  await limit("notes:create", 1);
  expect(await batch(create("a".repeat(15)))).toMatchObject([{ status: 200 }]);
});

test("each client is counted by itself, some are not, and a rule may be of guests alone", async () => {
  const rule = (audience: string) => ({ label: "/api/missing", maxRequests: 1, duration: 600, audience });
  await root.settings.update({ trustedProxy: { headers: ["x-client"] } });
  const ask = async (address: string, authorization = ""): Promise<number> =>
    (await fetch(`${api.url}/api/missing`, { headers: { "x-client": address, authorization } })).status;
  await root.settings.update({
    rateLimits: { enabled: true, rules: [rule("@guest")], excludedIPs: ["7.7.7.0/24"] },
  });
  const account = { email: "ann@example.com", password: "12345678", passwordConfirm: "12345678" };
  await root.collection("users").create(account);
  const user = new PocketBase(api.url);
  const { token } = await user.collection("users").authWithPassword(account.email, account.password);
  const [one, other, excluded] = ["1.1.1.1", "2.2.2.2", "7.7.7.7"];
  expect([await ask(one), await ask(one), await ask(other)]).toEqual([404, 429, 404]);
  expect([await ask(excluded), await ask(excluded)]).toEqual([404, 404]);
  expect([await ask(one, token), await ask(one, token)]).toEqual([404, 404]);
  await root.settings.update({
    rateLimits: { enabled: false, excludedIPs: [] },
    trustedProxy: { headers: [] },
  });
});
