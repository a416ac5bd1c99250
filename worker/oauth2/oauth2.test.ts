import { describe, expect, test } from "bun:test";
import { SignJWT, exportJWK, generateKeyPair } from "jose";
import { OAUTH2_PROVIDERS } from "../model/collections/oauth2-providers.ts";
import { Network } from "../outbound/network.ts";
import type { Provider, TokenAnswer } from "./contract.ts";
import { startAuth } from "./auth-url.ts";
import { IdTokens } from "./id-token.ts";
import { providerOf } from "./provider.ts";
import { PROVIDERS } from "./providers/table.ts";
import { mapUser } from "./user.ts";

const token: TokenAnswer = { accessToken: "a", refreshToken: "", tokenType: "bearer", expiry: "", raw: {} };

function provider(name: string, extra: Record<string, unknown> = {}): Provider {
  return providerOf({
    name,
    clientId: "me",
    clientSecret: "s",
    authURL: "https://own.test/auth",
    tokenURL: "https://own.test/token",
    userInfoURL: "",
    displayName: "",
    pkce: null,
    extra,
  });
}

/** Maps and finishes; `emails` answers whatever else the provider is asked. */
async function userOf(name: string, raw: Record<string, unknown>, emails: unknown = [], answer = token) {
  const of = provider(name);
  const user = mapUser(of, raw, answer);
  await of.spec.finish?.(user, {
    provider: of,
    raw,
    token: answer,
    idToken: async () => ({}),
    more: async () => (emails === "refused" ? undefined : emails),
  });
  const { rawUser: _, token: __, ...told } = user;
  return told;
}

test("the table has the providers that collections may name, in their order, with https addresses", () => {
  expect(Object.keys(PROVIDERS)).toEqual([...OAUTH2_PROVIDERS]);
  for (const { authURL, tokenURL, userInfoURL } of Object.values(PROVIDERS)) {
    for (const url of [authURL, tokenURL, userInfoURL])
      if (url !== "") expect(new URL(url).protocol).toBe("https:");
  }
  const withoutPkce = Object.keys(PROVIDERS).filter((name) => !provider(name).pkce);
  expect(withoutPkce).toEqual(["bitbucket", "vk", "linear"]);
});

test("Notion is asked for a code with no parameter of its own", () => {
  expect([...new URL(startAuth(provider("notion")).authURL).searchParams.keys()]).toEqual([
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "response_type",
    "state",
    "redirect_uri",
  ]);
});

describe("users", () => {
  test("of OpenID Connect have texts for what its standard calls so", () => {
    for (const claim of ["sub", "name", "preferred_username", "picture", "email"]) {
      expect(() => mapUser(provider("oidc"), { sub: "1", [claim]: 5 }, token)).toThrow("is no text");
    }
    expect(mapUser(provider("oidc"), { sub: "1", name: null }, token)).toMatchObject({ id: "1", name: "" });
  });

  const table: [string, Record<string, unknown>, Record<string, string>, unknown?][] = [
    [
      "google",
      { sub: "1", name: "A", picture: "p", email: "a@b.c", email_verified: true },
      { id: "1", name: "A", avatarURL: "p", email: "a@b.c" },
    ],
    ["google", { sub: "1", email: "a@b.c", email_verified: false }, { id: "1", email: "" }],
    ["oidc", { sub: "1", email: "a@b.c", email_verified: "true" }, { email: "a@b.c" }],
    ["oidc", { sub: "1", email: "a@b.c" }, { email: "" }],
    [
      "github",
      { id: 7, login: "l", email: "shown@b.c" },
      { id: "7", username: "l", email: "real@b.c" },
      [
        { email: "x@b.c", verified: true },
        { email: "real@b.c", primary: true, verified: true },
      ],
    ],
    [
      "github",
      { id: 7, email: "shown@b.c" },
      { email: "" },
      [{ email: "shown@b.c", primary: true, verified: false }],
    ],
    ["strava", { id: 0 }, { id: "" }],
    ["strava", { id: 5, firstname: "A", lastname: "B" }, { id: "5", name: "A B" }],
    [
      "discord",
      { id: "9", username: "u", avatar: "h", email: "a@b.c", verified: true },
      { avatarURL: "https://cdn.discordapp.com/avatars/9/h.png", email: "a@b.c" },
    ],
    ["twitch", { data: [{ id: "3", login: "l" }] }, { id: "3", username: "l" }],
    ["gitlab", { id: 1, email: "a@b.c", confirmed_at: null }, { email: "" }],
    [
      "kakao",
      { id: 1, kakao_account: { email: "a@b.c", is_email_valid: true, is_email_verified: true } },
      { email: "a@b.c" },
    ],
    [
      "patreon",
      { data: { id: "1", attributes: { full_name: "F", is_email_verified: false, email: "a@b.c" } } },
      { id: "1", name: "F", email: "" },
    ],
  ];
  for (const [name, raw, expected, emails] of table) {
    test(`${name}: ${JSON.stringify(raw).slice(0, 60)}`, async () => {
      expect(await userOf(name, raw, emails)).toMatchObject(expected);
    });
  }

  test("github's shown address counts only where the others may not be seen", async () => {
    expect(await userOf("github", { id: 7, email: "shown@b.c" }, null)).toMatchObject({ email: "" });
    expect(await userOf("github", { id: 7, email: "shown@b.c" }, "refused")).toMatchObject({
      email: "shown@b.c",
    });
  });

  for (const [claim, claims, email] of [
    ["", { email: "token@b.c" }, "graph@b.c"],
    ["email", { email: "token@b.c" }, "token@b.c"],
    ["email_and_xms_edov", { email: "token@b.c" }, ""],
    ["email_and_xms_edov", { email: "token@b.c", xms_edov: true }, "token@b.c"],
    ["unheard-of", { email: "token@b.c", xms_edov: true }, ""],
  ] as const) {
    test(`microsoft's email by "${claim}" of ${JSON.stringify(claims)}`, async () => {
      const of = provider("microsoft", { idTokenEmailClaim: claim });
      const raw = { id: "1", mail: "graph@b.c" };
      const user = mapUser(of, raw, token);
      const facts = { provider: of, raw, token, more: async () => undefined, idToken: async () => claims };
      await of.spec.finish?.(user, facts);
      expect(user.email).toBe(email);
      expect(startAuth(of).authURL.includes("openid")).toBe(claim !== "");
    });
  }

  test("vk tells the email with the token", async () => {
    const raw = { response: [{ id: 4, first_name: "V", last_name: "K" }] };
    expect(await userOf("vk", raw, [], { ...token, raw: { email: "v@k.c" } })).toMatchObject({
      id: "4",
      name: "V K",
      email: "v@k.c",
    });
  });

  test("an inactive user is refused", () => {
    expect(() => mapUser(provider("box"), { id: "1", status: "inactive" }, token)).toThrow("not active");
    expect(() =>
      mapUser(provider("linear"), { data: { viewer: { id: "1", active: false } } }, token),
    ).toThrow();
  });
});

describe("id tokens", () => {
  const signal = AbortSignal.timeout(10_000);

  async function world() {
    const { privateKey, publicKey } = await generateKeyPair("ES256");
    const { privateKey: foreign } = await generateKeyPair("ES256");
    const keys = [{ ...(await exportJWK(publicKey)), kid: "k1", alg: "ES256" }];
    let asked = 0;
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => {
        asked += 1;
        return Response.json({ keys });
      },
    });
    const signed = (key: CryptoKey, claims: Record<string, unknown> = {}, kid = "k1"): Promise<string> =>
      new SignJWT({
        aud: "me",
        sub: "1",
        iss: "https://i.test",
        exp: Math.floor(Date.now() / 1000) + 60,
        ...claims,
      })
        .setProtectedHeader({ alg: "ES256", kid })
        .sign(key);
    return {
      privateKey,
      foreign,
      server,
      signed,
      url: `http://127.0.0.1:${server.port}`,
      asked: () => asked,
    };
  }

  test("are verified by the provider's keys, which are fetched when needed", async () => {
    const { privateKey, foreign, server, signed, url, asked } = await world();
    const ids = new IdTokens(new Network({ allowPrivate: true }));
    const of = provider("oidc", { jwksURL: url, issuers: ["https://i.test"] });
    const claims = async (idToken: string) =>
      ids.claimsOf(of, { ...token, raw: { id_token: idToken } }, signal);
    try {
      expect(await claims(await signed(privateKey))).toMatchObject({ sub: "1" });
      await claims(await signed(privateKey));
      expect(asked()).toBe(1);
      expect(claims(await signed(foreign))).rejects.toThrow("Cannot trust id_token");
      expect(claims(await signed(privateKey, { aud: "other" }))).rejects.toThrow("Cannot trust");
      expect(claims(await signed(privateKey, { iss: "https://evil.test" }))).rejects.toThrow("Cannot trust");
      expect(claims(await signed(privateKey, { exp: 1 }))).rejects.toThrow("Cannot trust");
      const none = `${btoa('{"alg":"none"}')}.${btoa('{"aud":"me","sub":"1","exp":9999999999,"iss":"https://i.test"}')}.`;
      expect(claims(none.replaceAll("=", ""))).rejects.toThrow("Cannot trust");
      await expect(claims(await signed(privateKey, {}, "k2"))).rejects.toThrow("Cannot trust");
      expect(asked()).toBeGreaterThan(1);
    } finally {
      await server.stop(true);
    }
  });

  test("without known keys audience, issuer and time still count", async () => {
    const { privateKey, server, signed } = await world();
    await server.stop(true);
    const ids = new IdTokens(new Network());
    const of = provider("oidc", { issuers: ["https://i.test"] });
    const claims = async (idToken: string) =>
      ids.claimsOf(of, { ...token, raw: { id_token: idToken } }, signal);
    expect(await claims(await signed(privateKey))).toMatchObject({ sub: "1" });
    expect(claims(await signed(privateKey, { aud: "other" }))).rejects.toThrow("not for us");
    expect(claims(await signed(privateKey, { iss: "https://evil.test" }))).rejects.toThrow("another issuer");
    expect(claims(await signed(privateKey, { exp: 1 }))).rejects.toThrow("expired");
    expect(claims("")).rejects.toThrow("sent none");
  });
});
