import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { EventSource } from "eventsource";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";

setDefaultTimeout(60_000);

let api: TestApi;
let root: PocketBase;

beforeAll(async () => {
  api = await startTestApi("async");
  root = new PocketBase(api.url);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  const providers = [{ name: "google", clientId: "a", clientSecret: "b" }];
  await root.collections.create({ name: "members", type: "auth", oauth2: { enabled: true, providers } });
});
afterAll(() => api.close());

function post(path: string, body: unknown, method = "POST"): Promise<Response> {
  const headers = { "content-type": "application/json" };
  const init = method === "POST" ? { body: JSON.stringify(body) } : {};
  return fetch(api.url + path, { method, headers, redirect: "manual", ...init });
}
const signIn = async (form: object): Promise<unknown> =>
  (await post("/api/collections/members/auth-with-oauth2", form)).json();

test("auth-with-oauth2 refuses what PocketBase refuses, in its words", async () => {
  for (const createData of [1, "", [], true]) {
    expect(await signIn({ provider: "google", code: "", createData })).toEqual({
      status: 400,
      message: "An error occurred while loading the submitted data.",
      data: {},
    });
  }
  expect(await signIn({ provider: "google", code: "", createData: null })).toMatchObject({
    data: { code: { code: "validation_required" } },
  });
  expect(await signIn({ provider: "x".repeat(101), code: "a" })).toMatchObject({
    data: {
      provider: {
        code: "validation_length_too_long",
        message: "The length must be no more than 100.",
        params: { max: 100, min: 0 },
      },
    },
  });
});

test("a user that the provider gives no id is nobody", async () => {
  const provider = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ url }) =>
      Response.json(url.endsWith("/token") ? { access_token: "a", token_type: "bearer" } : { name: "Ann" }),
  });
  try {
    const at = `http://127.0.0.1:${provider.port}`;
    const own = { authURL: `${at}/auth`, tokenURL: `${at}/token`, userInfoURL: `${at}/me` };
    const oidc = { name: "oidc", clientId: "a", clientSecret: "b", ...own };
    await root.collections.create({
      name: "strangers",
      type: "auth",
      oauth2: { enabled: true, providers: [oidc] },
    });
    const form = { provider: "oidc", code: "c", codeVerifier: "v", redirectURL: "https://app.test" };
    expect(await (await post("/api/collections/strangers/auth-with-oauth2", form)).json()).toEqual({
      status: 400,
      message: "Failed to authenticate.",
      data: { providerId: { code: "validation_required", message: "Cannot be blank." } },
    });
  } finally {
    await provider.stop(true);
  }
});

test("apple/generate-client-secret reads its form as PocketBase does", async () => {
  const { token } = (await (
    await post("/api/collections/_superusers/auth-with-password", {
      identity: SUPERUSER.email,
      password: SUPERUSER.password,
    })
  ).json()) as { token: string };
  const answer = await fetch(`${api.url}/api/settings/apple/generate-client-secret`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: token },
    body: JSON.stringify({ duration: "1" }),
  });
  expect(await answer.json()).toMatchObject({
    message: "An error occurred while loading the submitted data.",
    data: {},
  });
});

const SUCCESS = "../_/#/auth/oauth2-redirect-success";
const FAILURE = "../_/#/auth/oauth2-redirect-failure";

/** Where a redirect leads after the client has subscribed to `topic`. */
async function led(topic: string, go: (state: string) => Promise<Response>): Promise<string | null> {
  const stream = new EventSource(`${api.url}/api/realtime`);
  try {
    const { promise, resolve } = Promise.withResolvers<string>();
    stream.addEventListener("PB_CONNECT", ({ lastEventId }) => resolve(lastEventId));
    const state = await promise;
    await post("/api/realtime", { clientId: state, subscriptions: [topic] });
    return (await go(state)).headers.get("location");
  } finally {
    stream.close();
  }
}

test("a redirect serves the client that waits under the topic itself, by what can be read", async () => {
  const get = (state: string) => post(`/api/oauth2-redirect?code=1&state=${state}`, undefined, "GET");
  expect(await led("@oauth2", get)).toBe(SUCCESS);
  expect(await led("@oauth2?x=1", get)).toBe(FAILURE);
  const json = (code: unknown, user?: unknown) => (state: string) =>
    post("/api/oauth2-redirect", { state, code, user });
  expect(await led("@oauth2", json("1"))).toBe(SUCCESS);
  expect(await led("@oauth2", json("1", { name: "x" }))).toBe(SUCCESS);
  expect(await led("@oauth2", json(1))).toBe(FAILURE);
  expect((await post("/api/oauth2-redirect", undefined, "HEAD")).status).toBe(303);
});
