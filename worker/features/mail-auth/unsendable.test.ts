import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";

setDefaultTimeout(60_000);

let api: TestApi;
let root: PocketBase;
let member: string;

/** Of a tenant that has no mail server. */
beforeAll(async () => {
  api = await startTestApi("async");
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "members",
    type: "auth",
    otp: { enabled: true, duration: 180, length: 6 },
  });
  const password = { password: "12345678", passwordConfirm: "12345678" };
  member = (await root.collection("members").create({ email: "ann@example.com", ...password })).id;
});
afterAll(() => api.close());

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${api.url}/api/collections/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}
const signIn = (userAgent: string): Promise<Response> =>
  post(
    "members/auth-with-password",
    { identity: "ann@example.com", password: "12345678" },
    { "user-agent": userAgent },
  );

const origins = async () =>
  (await root.collection("_authOrigins").getFullList({ filter: `recordRef = "${member}"` })).map(
    (origin) => ({
      fingerprint: String(origin["fingerprint"]),
      updated: String(origin["updated"]),
    }),
  );
const md5 = (text: string): string => createHash("md5").update(text, "latin1").digest("hex");

test("a one-time password that nobody can get is not kept, and the answer does not tell", async () => {
  const answer = await post("members/request-otp", { email: "ann@example.com" });
  expect(await answer.json()).toEqual({ otpId: expect.stringMatching(/^[a-z0-9]{15}$/) });
  expect(await root.collection("_otps").getFullList()).toEqual([]);
});

test("the first origin is noted, a known one is touched, one that cannot be told is not noted", async () => {
  expect((await signIn("first")).status).toBe(200);
  const [first] = await origins();
  expect(first?.fingerprint).toBe(md5("127.0.0.1first"));
  while (new Date().toISOString().replace("T", " ") <= (first?.updated ?? "")) await Bun.sleep(1);
  expect((await signIn("first")).status).toBe(200);
  const [again, ...others] = await origins();
  expect(others).toEqual([]);
  expect((again?.updated ?? "") > (first?.updated ?? "")).toBe(true);
  expect((await signIn("second")).status).toBe(200);
  expect((await origins()).map(({ fingerprint }) => fingerprint)).toEqual([md5("127.0.0.1first")]);
});

test("a fingerprint is of the bytes of the user agent, cut as PocketBase cuts it", async () => {
  for (const [userAgent, known] of [
    ["é".repeat(150), "é".repeat(150)],
    ["x".repeat(250), `${"x".repeat(200)}...`],
  ] as const) {
    for (const { id } of await root.collection("_authOrigins").getFullList()) {
      await root.collection("_authOrigins").delete(id);
    }
    await signIn(userAgent);
    expect((await origins()).map(({ fingerprint }) => fingerprint)).toEqual([md5(`127.0.0.1${known}`)]);
  }
});

test("addresses are checked as those of records are", async () => {
  for (const email of ["a@b", "a..b@c.de", "a@127.0.0.1"]) {
    const answer = await post("members/request-verification", { email });
    expect(await answer.json()).toMatchObject({ data: { email: { code: "validation_is_email" } } });
  }
  expect((await post("members/request-verification", { email: "日@例.jp" })).status).toBe(204);
});

test("a collection that is not there is missed before who asks is", async () => {
  expect((await post("missing/request-email-change", {})).status).toBe(404);
  expect((await post("members/request-email-change", {})).status).toBe(401);
});
