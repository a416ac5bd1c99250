import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { EventSource } from "eventsource";
import { decodeJwt, decodeProtectedHeader } from "jose";
import PocketBase, { type AuthProviderInfo, ClientResponseError, type RecordAuthResponse } from "pocketbase";
import { createTenantApp } from "../../app.ts";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { OAUTH2_PROVIDERS } from "../../model/collections/oauth2-providers.ts";
import { OIDC_CLIENT, type TestOidc, startTestOidc } from "./testing.ts";

const REDIRECT = "https://app.test/back";
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

let api: TestApi;
let oidc: TestOidc;
let root: PocketBase;
let pictures: ReturnType<typeof Bun.serve>;

beforeAll(async () => {
  api = await startTestApi();
  oidc = await startTestOidc([REDIRECT, `${api.url}/api/oauth2-redirect`]);
  pictures = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ url }) => (url.endsWith(".png") ? new Response(PNG) : new Response("<html>", { status: 200 })),
  });
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  const { issuer } = oidc;
  const endpoints = { ...OIDC_CLIENT, authURL: `${issuer}/auth`, tokenURL: `${issuer}/token` };
  await root.collections.create({
    name: "members",
    type: "auth",
    createRule: "@request.context = 'oauth2' && @request.body.banned != true",
    fields: [
      { name: "nick", type: "text", max: 10 },
      { name: "full", type: "text" },
      { name: "external", type: "text" },
      { name: "banned", type: "bool" },
      { name: "photo", type: "file", maxSelect: 1, mimeTypes: ["image/png"] },
    ],
    indexes: ["CREATE UNIQUE INDEX idx_members_nick ON members (nick COLLATE NOCASE) WHERE nick != ''"],
    oauth2: {
      enabled: true,
      mappedFields: { id: "external", name: "full", username: "nick", avatarURL: "photo" },
      providers: [
        { name: "oidc", displayName: "House", ...endpoints, userInfoURL: `${issuer}/me`, pkce: true },
        {
          name: "oidc2",
          ...endpoints,
          userInfoURL: "",
          pkce: true,
          extra: { jwksURL: `${issuer}/jwks`, issuers: [issuer] },
        },
        {
          name: "oidc3",
          ...endpoints,
          userInfoURL: "",
          extra: { jwksURL: `${issuer}/jwks`, issuers: ["https://else.test"] },
        },
        { name: "google", clientId: "g", clientSecret: "g" },
        { name: "bitbucket", clientId: "b", clientSecret: "b" },
      ],
    },
  });
});
afterAll(async () => {
  await api.close();
  await oidc.close();
  await pictures.stop(true);
});

const guest = (): PocketBase => new PocketBase(api.url);

async function offered(name: string): Promise<AuthProviderInfo> {
  const methods = await guest().collection("members").listAuthMethods();
  const found = methods.oauth2.providers.find((provider) => provider.name === name);
  if (found === undefined) throw new Error(`${name} is not offered`);
  return found;
}

interface SignIn {
  provider?: string;
  client?: PocketBase;
  createData?: Record<string, unknown>;
}

async function signIn(login: string, { provider = "oidc", client = guest(), createData }: SignIn = {}) {
  const offer = await offered(provider);
  const back = await oidc.browse(offer.authURL + encodeURIComponent(REDIRECT), login);
  expect(back.searchParams.get("state")).toBe(offer.state);
  return client
    .collection("members")
    .authWithOAuth2Code(
      provider,
      back.searchParams.get("code") ?? "",
      offer.codeVerifier,
      REDIRECT,
      createData,
    );
}

const refusal = async (attempt: Promise<unknown>): Promise<ClientResponseError> => {
  const error = await attempt.catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ClientResponseError);
  return error as ClientResponseError;
};

const account = (login: string, claims: Record<string, unknown> = {}): void =>
  void oidc.accounts.set(login, { email: `${login}@example.com`, email_verified: true, ...claims });

describe("auth-methods", () => {
  test("offers each provider with what its flow needs", async () => {
    const { oauth2, ...rest } = await guest().collection("members").listAuthMethods();
    expect(oauth2.enabled).toBe(true);
    expect(oauth2.providers.map(({ name, displayName }) => `${name} ${displayName}`)).toEqual([
      "oidc House",
      "oidc2 OIDC",
      "oidc3 OIDC",
      "google Google",
      "bitbucket Bitbucket",
    ]);
    expect(rest.password.enabled).toBe(true);
    const raw = (await (await fetch(`${api.url}/api/collections/members/auth-methods`)).json()) as {
      authProviders: { name: string; authUrl: string; authURL: string }[];
    };
    expect(raw.authProviders.map(({ name }) => name)).toEqual(oauth2.providers.map(({ name }) => name));
    expect(raw.authProviders[0]?.authUrl).toBe(raw.authProviders[0]?.authURL ?? "");
    const google = await offered("google");
    const url = new URL(`${google.authURL}https://x.test`);
    expect(google.authURL).toEndWith("&redirect_uri=");
    expect(Object.fromEntries(url.searchParams)).toEqual({
      client_id: "g",
      code_challenge: google.codeChallenge,
      code_challenge_method: "S256",
      redirect_uri: "https://x.test",
      response_type: "code",
      scope:
        "https://www.googleapis.com/auth/userinfo.profile https://www.googleapis.com/auth/userinfo.email",
      state: google.state,
    });
    expect(google.codeVerifier).toHaveLength(43);
    expect(google).toMatchObject({ logo: expect.stringMatching(/^<svg/) });
    expect(await offered("bitbucket")).toMatchObject({ codeVerifier: "", codeChallengeMethod: "" });
    expect(JSON.stringify(await guest().collection("members").listAuthMethods())).not.toContain("secret");
  });

  test("offers none where OAuth2 is off", async () => {
    expect((await guest().collection("users").listAuthMethods()).oauth2).toEqual({
      enabled: false,
      providers: [],
    });
  });

  test("all providers are listed for superusers", async () => {
    const list: { name: string; logo: string }[] = await root.send(
      "/api/collections/meta/oauth2-providers",
      {},
    );
    expect(list.map(({ name }) => name)).toEqual([...OAUTH2_PROVIDERS]);
    expect(list.filter(({ logo }) => !logo.startsWith("<svg"))).toEqual([]);
    expect((await refusal(guest().send("/api/collections/meta/oauth2-providers", {}))).status).toBe(401);
  });
});

describe("auth-with-oauth2", () => {
  test("creates a record with mapped fields and a picture, then signs the same in again", async () => {
    account("Ann", {
      name: "Ann Lee",
      preferred_username: "ann",
      picture: `http://127.0.0.1:${pictures.port}/face.png`,
    });
    const first = await signIn("Ann");
    const photo = String(first.record["photo"]);
    expect(photo).toMatch(/^face_\w{10}\.png$/);
    expect(first.meta).toMatchObject({
      isNew: true,
      id: "Ann",
      name: "Ann Lee",
      username: "ann",
      email: "Ann@example.com",
      accessToken: expect.stringMatching(/./),
      rawUser: { sub: "Ann" },
    });
    expect(first.record).toMatchObject({
      email: "Ann@example.com",
      verified: true,
      nick: "ann",
      full: "Ann Lee",
      external: "Ann",
    });
    const picture = await fetch(root.files.getURL(first.record, photo));
    expect(Buffer.from(await picture.arrayBuffer()).equals(PNG)).toBe(true);
    const second = await signIn("Ann");
    expect([second.record.id, second.meta?.["isNew"]]).toEqual([first.record.id, false]);
    const links = await root.collection("_externalAuths").getFullList({ filter: "providerId = 'Ann'" });
    expect(links).toMatchObject([{ provider: "oidc", recordRef: first.record.id }]);
  });

  test("what does not fit a field is left out, what the client submits wins", async () => {
    account("Bob", {
      name: "Bob",
      preferred_username: "ANN",
      picture: `http://127.0.0.1:${pictures.port}/page`,
    });
    expect((await signIn("Bob", { createData: { full: "Robert" } })).record).toMatchObject({
      nick: "",
      photo: "",
      full: "Robert",
    });
    account("Cy", { preferred_username: "much-too-long", picture: "http://127.0.0.1:1/gone.png" });
    expect((await signIn("Cy")).record).toMatchObject({ nick: "", photo: "" });
  });

  test("the create rule decides who may come", async () => {
    account("Dan");
    expect((await refusal(signIn("Dan", { createData: { banned: true } }))).status).toBe(400);
    expect(await root.collection("members").getFullList({ filter: "external = 'Dan'" })).toEqual([]);
    expect(await refusal(guest().collection("members").create({ email: "x@y.z" }))).toMatchObject({
      status: 400,
    });
  });

  test("a verified email leads to the record that has it, whose unproven password is no longer good", async () => {
    const values = { email: "Eve@example.com", password: "12345678", passwordConfirm: "12345678" };
    const { id } = await root.collection("members").create(values);
    account("Eve");
    const { record, meta } = await signIn("Eve");
    expect([record.id, record["verified"], meta?.["isNew"]]).toEqual([id, true, false]);
    await refusal(guest().collection("members").authWithPassword("Eve@example.com", "12345678"));
  });

  test("an email that the provider has not verified leads nowhere and is not taken over", async () => {
    const values = { email: "Fay@example.com", password: "12345678", passwordConfirm: "12345678" };
    await root.collection("members").create(values);
    account("Fay", { email_verified: false });
    expect((await refusal(signIn("Fay"))).response).toMatchObject({
      data: { email: { code: "validation_required" } },
    });
    await guest().collection("members").authWithPassword("Fay@example.com", "12345678");
  });

  test("who is signed in links the provider to itself", async () => {
    const values = {
      email: "gus@home.test",
      password: "12345678",
      passwordConfirm: "12345678",
      verified: true,
    };
    const { id } = await root.collection("members").create(values);
    const client = guest();
    await client.collection("members").authWithPassword("gus@home.test", "12345678");
    account("Gus");
    expect((await signIn("Gus", { client })).record).toMatchObject({ id, email: "gus@home.test" });
    expect((await signIn("Gus")).record.id).toBe(id);
    await guest().collection("members").authWithPassword("gus@home.test", "12345678");
    await client.collection("members").unlinkExternalAuth(id, "oidc");
    expect((await signIn("Gus")).record.id).not.toBe(id);
  });

  test("an id_token is enough, verified by the provider's keys and of the right issuer", async () => {
    account("Hal", { name: "Hal" });
    expect((await signIn("Hal", { provider: "oidc2" })).meta).toMatchObject({
      id: "Hal",
      email: "Hal@example.com",
    });
    expect((await refusal(signIn("Hal", { provider: "oidc3" }))).message).toBe(
      "Failed to fetch OAuth2 user.",
    );
  });

  test("a wrong code, verifier or form is refused", async () => {
    account("Ida");
    const members = guest().collection("members");
    const offer = await offered("oidc");
    const back = await oidc.browse(offer.authURL + encodeURIComponent(REDIRECT), "Ida");
    const code = back.searchParams.get("code") ?? "";
    const wrong = await refusal(members.authWithOAuth2Code("oidc", code, "x".repeat(43), REDIRECT));
    expect([wrong.status, wrong.message]).toEqual([400, "Failed to fetch OAuth2 token."]);
    expect((await refusal(members.authWithOAuth2Code("gitlab", "c", "v", REDIRECT))).response).toMatchObject({
      message: "An error occurred while loading the submitted data.",
      data: { provider: { code: "validation_invalid_provider" } },
    });
    expect((await refusal(members.authWithOAuth2Code("", "", "", ""))).response).toMatchObject({
      data: { provider: { code: "validation_required" }, code: { code: "validation_required" } },
    });
    const users = guest().collection("users");
    expect((await refusal(users.authWithOAuth2Code("oidc", "c", "v", REDIRECT))).status).toBe(403);
  });

  test("superusers do not come that way, whatever their collection says", async () => {
    const provider = {
      name: "oidc",
      ...OIDC_CLIENT,
      authURL: `${oidc.issuer}/auth`,
      tokenURL: `${oidc.issuer}/token`,
    };
    await root.collections.update("_superusers", { oauth2: { enabled: true, providers: [provider] } });
    const superusers = guest().collection("_superusers");
    expect((await superusers.listAuthMethods()).oauth2).toEqual({ enabled: false, providers: [] });
    expect((await refusal(superusers.authWithOAuth2Code("oidc", "c", "v", REDIRECT))).status).toBe(403);
  });

  test("a second factor is asked for after the first", async () => {
    account("Jo");
    await signIn("Jo");
    await root.collections.update("members", { mfa: { enabled: true, duration: 600 } });
    const halfway = await refusal(signIn("Jo"));
    expect([halfway.status, typeof halfway.response["mfaId"]]).toEqual([401, "string"]);
    await root.collections.update("members", { mfa: { enabled: false } });
  });
});

describe("oauth2-redirect", () => {
  test("the SDK's popup flow: realtime, the provider, the redirect, the sign-in", async () => {
    Object.assign(globalThis, { EventSource });
    account("Kim");
    const client = guest();
    let landed: string | null = null;
    const signedIn: RecordAuthResponse = await client.collection("members").authWithOAuth2({
      provider: "oidc",
      urlCallback: async (url) => {
        const back = await oidc.browse(url, "Kim");
        const response = await fetch(back, { redirect: "manual" });
        expect(response.status).toBe(307);
        landed = response.headers.get("location");
      },
    });
    expect(signedIn.record["email"]).toBe("Kim@example.com");
    expect(landed as string | null).toBe("../_/#/auth/oauth2-redirect-success");
    await client.realtime.unsubscribe();
  });

  test("only the address that waits can bring the code, and once", async () => {
    const app = createTenantApp();
    const call = async (path: string, clientIp: string, init?: RequestInit): Promise<Response> => {
      const seen = api.tenant.observe();
      const base = { tenant: api.tenant, seen, clientIp, origin: api.url, requestId: "test" };
      return app({ request: new Request(`${api.url}${path}`, init), ...base });
    };
    const reader = (await call("/api/realtime", "10.0.0.1")).body?.getReader();
    const hello = new TextDecoder().decode((await reader?.read())?.value);
    const clientId = /"clientId":"(\w+)"/.exec(hello)?.[1] ?? "";
    const subscribed = await call("/api/realtime", "10.0.0.1", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ clientId, subscriptions: ["@oauth2"] }),
    });
    expect(subscribed.status).toBe(204);
    const landing = async (clientIp: string): Promise<string | null> =>
      (await call(`/api/oauth2-redirect?state=${clientId}&code=c1`, clientIp)).headers.get("location");
    expect(await landing("10.0.0.2")).toEndWith("failure");
    expect(await landing("10.0.0.1")).toEndWith("success");
    expect(new TextDecoder().decode((await reader?.read())?.value)).toContain(
      `event:@oauth2\ndata:{"state":"${clientId}","code":"c1"}`,
    );
    expect(await landing("10.0.0.1")).toEndWith("failure");
    await reader?.cancel();
  });

  test("what nobody waits for, or is an error, leads to the failure page", async () => {
    const failure = "../_/#/auth/oauth2-redirect-failure";
    for (const query of ["", "?state=nobody&code=1", "?error=access_denied"]) {
      const response = await fetch(`${api.url}/api/oauth2-redirect${query}`, { redirect: "manual" });
      expect([response.status, response.headers.get("location")]).toEqual([307, failure]);
    }
    const posted = await fetch(`${api.url}/api/oauth2-redirect`, {
      method: "POST",
      body: new URLSearchParams({ state: "nobody", code: "1" }),
      redirect: "manual",
    });
    expect([posted.status, posted.headers.get("location")]).toEqual([303, failure]);
  });
});

test("apple/generate-client-secret signs what Apple asks for", async () => {
  const { privateKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const { secret } = await root.settings.generateAppleClientSecret(
    "app.test",
    "TEAM123456",
    "KEY1234567",
    privateKey,
    60,
  );
  expect(decodeProtectedHeader(secret)).toMatchObject({ alg: "ES256", kid: "KEY1234567" });
  expect(decodeJwt(secret)).toMatchObject({
    iss: "TEAM123456",
    sub: "app.test",
    aud: "https://appleid.apple.com",
  });
  expect(
    (await refusal(root.settings.generateAppleClientSecret("", "x", "", "k", 0))).response,
  ).toMatchObject({
    data: { clientId: {}, teamId: {}, keyId: {}, privateKey: {}, duration: {} },
  });
});
