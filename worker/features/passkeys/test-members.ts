/** Records of a collection with passkeys behind the whole API, for the tests beside this. */
import { afterAll, beforeAll, beforeEach, expect, setSystemTime } from "bun:test";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { TestAuthenticator } from "./testing.ts";

export const password = "12345678";
export const rpId = "127.0.0.1";
export const FAILED = { status: 400, json: { data: {}, message: "Failed to authenticate.", status: 400 } };

export interface Answer {
  status: number;
  json: Record<string, unknown>;
}
export interface Options {
  challenge: string;
  user: { id: string; name: string };
  allowCredentials?: { id: string }[];
  excludeCredentials: { id: string }[];
}

export const OFF = {
  required: false,
  totp: { enabled: false, issuer: "" },
  passkey: {
    enabled: true,
    secondFactor: false,
    multiFactor: false,
    rpId: "",
    origins: [],
    userVerification: "required",
  },
};

/** Starts before the tests of the file that calls it, and stops after them; before each the policy is as at first. */
export function passkeyMembers() {
  let api: TestApi;
  let root: PocketBase;
  const world = {
    get api(): TestApi {
      return api;
    },
    get root(): PocketBase {
      return root;
    },
    /** Of the tenant's own page. */
    get origin(): string {
      return api.url;
    },
  };

  beforeAll(async () => {
    api = await startTestApi();
    root = new PocketBase(api.url);
    root.autoCancellation(false);
    await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
    const otp = { enabled: true, duration: 180, length: 8 };
    for (const name of ["members", "others"]) await root.collections.create({ name, type: "auth", otp });
  });
  beforeEach(async () => {
    setSystemTime();
    await policy(OFF);
  });
  afterAll(async () => {
    setSystemTime();
    await api.close();
  });

  async function call(method: string, path: string, token = "", body?: unknown): Promise<Answer> {
    const response = await fetch(`${api.url}/api/collections/${path}`, {
      method,
      headers: { "content-type": "application/json", ...(token === "" ? {} : { authorization: token }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      json: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>),
    };
  }

  const policy = (change: unknown): Promise<Answer> =>
    call("PATCH", "members/auth-policy", root.authStore.token, change);

  const signIn = (name: string, more: object = {}): Promise<Answer> =>
    call("POST", "members/auth-with-password", "", { identity: `${name}@example.com`, password, ...more });

  /** A new record and its token. */
  async function member(name: string, values: object = {}): Promise<{ id: string; token: string }> {
    const own = { email: `${name}@example.com`, password, passwordConfirm: password };
    const { id } = await root.collection("members").create({ ...own, ...values });
    return { id, token: String((await signIn(name)).json["token"]) };
  }

  async function register(token: string, device: TestAuthenticator, more: object = {}): Promise<Answer> {
    const { json } = await call("POST", "members/passkeys/register-options", token, more);
    const response = await device.create(json["options"] as Options, { origin: api.url, rpId });
    return call("POST", "members/passkeys", token, { challengeId: json["challengeId"], response, ...more });
  }

  async function enrolled(name: string, values: object = {}) {
    const { id, token } = await member(name, values);
    const device = await TestAuthenticator.make();
    const made = await register(token, device);
    expect(made.status).toBe(200);
    return { id, token, device, passkey: String(made.json["id"]) };
  }

  const optionsFor = async (more: object = {}): Promise<{ options: Options; challengeId: string }> =>
    (await call("POST", "members/auth-with-passkey-options", "", more)).json as never;

  async function passkeySignIn(
    device: TestAuthenticator,
    more: object = {},
    at: { origin?: string; rpId?: string; isVerified?: boolean } = {},
  ): Promise<Answer> {
    const { options, challengeId } = await optionsFor(more);
    const response = await device.get(options, { origin: api.url, rpId, ...at });
    return call("POST", "members/auth-with-passkey", "", { challengeId, response, ...more });
  }

  return { world, call, policy, signIn, member, register, enrolled, optionsFor, passkeySignIn };
}
