import { afterAll, beforeAll, beforeEach, describe, expect, setSystemTime, test } from "bun:test";
import { Secret, TOTP } from "otpauth";
import PocketBase from "pocketbase";
import { limits } from "../../../shared/limits.ts";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { TestAuthenticator } from "./testing.ts";
import { verifyRegistration } from "./verify.ts";

let api: TestApi;
let root: PocketBase;
const password = "12345678";
const rpId = "127.0.0.1";
let origin: string;

interface Answer {
  status: number;
  json: Record<string, unknown>;
}
interface Options {
  challenge: string;
  user: { id: string; name: string };
  allowCredentials?: { id: string }[];
  excludeCredentials: { id: string }[];
}

const OFF = {
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

beforeAll(async () => {
  api = await startTestApi();
  origin = api.url;
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
  return { status: response.status, json: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
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
  const response = await device.create(json["options"] as Options, { origin, rpId });
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
  const response = await device.get(options, { origin, rpId, ...at });
  return call("POST", "members/auth-with-passkey", "", { challengeId, response, ...more });
}

const FAILED = { status: 400, json: { data: {}, message: "Failed to authenticate.", status: 400 } };

describe("the policy", () => {
  test("is off at first: nothing of it shows and nothing of it works", async () => {
    const methods = (collection: string) => call("GET", `${collection}/auth-methods`);
    expect((await methods("others")).json["passkey"]).toBeUndefined();
    expect((await methods("members")).json["passkey"]).toEqual({ enabled: true });
    expect((await call("POST", "others/auth-with-passkey-options")).status).toBe(403);
    expect((await call("POST", "others/auth-with-passkey", "", { challengeId: "x" })).status).toBe(403);
    const { token } = await member("off");
    await policy({ passkey: { enabled: false } });
    expect((await call("POST", "members/passkeys/register-options", token)).status).toBe(403);
  });

  test("is changed by superusers and says what it refuses as PocketBase does", async () => {
    const { token } = await member("meek");
    expect((await call("PATCH", "members/auth-policy", token, {})).status).toBe(403);
    expect((await policy({ passkey: { rpId: "no domain", origins: ["https://a.b/c"] } })).json).toEqual({
      data: {
        passkey: {
          rpId: { code: "validation_invalid_domain", message: "Must be a domain name." },
          origins: {
            code: "validation_invalid_origin",
            message: "Must be origins like https://app.example.com.",
          },
        },
      },
      message: "An error occurred while validating the submitted data.",
      status: 400,
    });
    expect((await policy({ passkey: { userVerification: "maybe" } })).status).toBe(400);
    expect((await policy({ required: "yes" })).status).toBe(400);
    const none = await policy({ required: true, passkey: { enabled: false } });
    expect(none.json["data"]).toMatchObject({ required: { code: "validation_no_second_factor" } });
    const changed = await policy({ passkey: { rpId: "Example.com", origins: ["https://app.example.com"] } });
    expect(changed.json["passkey"]).toMatchObject({ enabled: true, rpId: "example.com" });
  });
});

describe("registering", () => {
  test("a record lists, renames and deletes its passkeys; nobody else can", async () => {
    const { id, token, device, passkey } = await enrolled("ann");
    const { token: other } = await member("anna");
    const list = await fetch(`${api.url}/api/collections/members/passkeys`, {
      headers: { authorization: token },
    });
    expect(await list.json()).toEqual([
      {
        id: passkey,
        name: "Passkey",
        created: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z$/),
        used: "",
        rpId,
        transports: ["internal"],
        deviceType: "singleDevice",
        backedUp: false,
        cloned: false,
      },
    ]);
    const again = await call("POST", "members/passkeys/register-options", token);
    expect((again.json["options"] as Options).excludeCredentials).toHaveLength(1);
    expect((await register(token, device)).json["message"]).toBe("The passkey is registered already.");
    const path = `members/passkeys/${passkey}`;
    expect((await call("PATCH", path, other, { name: "x" })).status).toBe(404);
    expect((await call("DELETE", path, other)).status).toBe(404);
    expect((await call("GET", `members/passkeys?record=${id}`, other)).json).toEqual([] as never);
    expect((await call("GET", `members/passkeys?record=${id}`, root.authStore.token)).json).toHaveLength(1);
    expect((await call("PATCH", path, token, { name: "Phone" })).json["name"]).toBe("Phone");
    expect((await call("PATCH", path, token, { name: "x".repeat(101) })).status).toBe(400);
    expect((await call("DELETE", path, root.authStore.token)).status).toBe(204);
    expect((await call("DELETE", path, token)).status).toBe(404);
    expect(await passkeySignIn(device)).toEqual(FAILED);
  });

  test("a challenge is of one record, one use, one kind and a few minutes; a new password ends it", async () => {
    const { id, token } = await member("bob");
    const { token: other } = await member("bobby");
    const device = await TestAuthenticator.make();
    const challengeFor = async (token: string) =>
      (await call("POST", "members/passkeys/register-options", token)).json as {
        options: Options;
        challengeId: string;
      };
    const finish = async (
      token: string,
      { options, challengeId }: { options: Options; challengeId: string },
      device: TestAuthenticator,
    ) =>
      call("POST", "members/passkeys", token, {
        challengeId,
        response: await device.create(options, { origin, rpId }),
      });
    const INVALID = "Invalid or expired passkey challenge.";
    const first = await challengeFor(token);
    expect((await finish(other, first, device)).json["message"]).toBe(INVALID);
    expect(
      (await finish(token, { ...first, challengeId: (await optionsFor()).challengeId }, device)).status,
    ).toBe(400);
    expect((await finish(token, first, device)).status).toBe(200);
    const twice = await finish(token, first, await TestAuthenticator.make());
    expect(twice.json["message"]).toBe(INVALID);
    const old = await challengeFor(token);
    setSystemTime(new Date(Date.now() + limits.passkeyChallengeMs + 1_000));
    expect((await finish(token, old, await TestAuthenticator.make())).json["message"]).toBe(INVALID);
    setSystemTime();
    const pending = await challengeFor(token);
    await root
      .collection("members")
      .update(id, { password: "new-password", passwordConfirm: "new-password" });
    const changed = await call("POST", "members/auth-with-password", "", {
      identity: "bob@example.com",
      password: "new-password",
    });
    const late = await finish(String(changed.json["token"]), pending, await TestAuthenticator.make());
    expect(late.json["message"]).toBe(INVALID);
    expect((await passkeySignIn(device)).status).toBe(200);
  });

  test("only its own page, its own domain and a verified user", async () => {
    const { token } = await member("carl");
    const wrongs = [
      { origin: "https://evil.example", rpId },
      { origin, rpId: "evil.example" },
      { origin, rpId, isVerified: false },
    ];
    for (const at of wrongs) {
      const { json } = await call("POST", "members/passkeys/register-options", token);
      const device = await TestAuthenticator.make();
      const response = await device.create(json["options"] as Options, at);
      const body = { challengeId: json["challengeId"], response };
      expect((await call("POST", "members/passkeys", token, body)).json["message"]).toBe(
        "Failed to verify the passkey.",
      );
    }
    for (const response of [
      undefined,
      null,
      7,
      {},
      { id: "x", rawId: "x", type: "public-key", response: 3 },
    ]) {
      const { json } = await call("POST", "members/passkeys/register-options", token);
      const body = { challengeId: json["challengeId"], response };
      expect((await call("POST", "members/passkeys", token, body)).status).toBe(400);
    }
  });

  test("certificates are not even looked at", async () => {
    const device = await TestAuthenticator.make();
    const challenge = { challenge: "AAAA", rpId, identity: "", expiresMs: 0 };
    const statement = new Map<string, unknown>([["x5c", [Uint8Array.of(1, 2, 3)]]]);
    const party = { ...OFF.passkey, userVerification: "required" as const, allowedOrigins: [origin] };
    for (const format of ["packed", "apple", "none"]) {
      const extra = new Map<string, unknown>([
        ["fmt", format],
        ["attStmt", format === "none" ? new Map() : statement],
      ]);
      const options = { challenge: "AAAA", user: { id: "AAAA" } };
      const response = await device.create(options, { origin, rpId }, extra);
      const outcome = await verifyRegistration(party, challenge, response).then(
        () => "verified",
        (error: { cause: Error }) => error.cause.message,
      );
      expect(outcome).toBe(format === "none" ? "verified" : `attestation ${format} with certificates`);
    }
  });

  test("there is a bound", async () => {
    const { token } = await member("dan");
    for (let index = 0; index < limits.passkeysPerRecordMax; index++) {
      expect((await register(token, await TestAuthenticator.make())).status).toBe(200);
    }
    expect((await register(token, await TestAuthenticator.make())).json["message"]).toStartWith(
      "There are too many passkeys.",
    );
  });
});

describe("as the first step", () => {
  test("it signs in, with or without an identity", async () => {
    const { device, passkey, token } = await enrolled("emil");
    const done = await passkeySignIn(device);
    expect(done).toMatchObject({
      status: 200,
      json: { record: { email: "emil@example.com", collectionName: "members" }, token: expect.any(String) },
    });
    expect((await passkeySignIn(device, { identity: "EMIL@example.com" })).status).toBe(200);
    expect(await passkeySignIn(device, { identity: "other@example.com" })).toEqual(FAILED);
    const { json } = await call("GET", "members/passkeys", token);
    expect((json as unknown as Record<string, unknown>[])[0]).toMatchObject({
      id: passkey,
      used: expect.stringContaining("Z"),
    });
  });

  test("options are the same for those who exist and those who do not", async () => {
    await enrolled("fay");
    const shape = async (identity: string) => {
      const { options, challengeId } = await optionsFor({ identity });
      return [{ ...options, challenge: options.challenge.length }, challengeId.split(".").length];
    };
    expect(await shape("fay@example.com")).toEqual(await shape("nil@example.com"));
    expect((await optionsFor({ identity: "fay@example.com" })).options.allowCredentials).toBeUndefined();
  });

  test("a challenge is good once, also for authenticators that count nothing", async () => {
    const { device } = await enrolled("gus");
    device.step = 0;
    const { options, challengeId } = await optionsFor();
    const response = await device.get(options, { origin, rpId });
    const send = () => call("POST", "members/auth-with-passkey", "", { challengeId, response });
    expect((await send()).status).toBe(200);
    expect((await send()).json["message"]).toBe("Invalid or expired passkey challenge.");
    const others = await call("POST", "others/auth-with-passkey", "", { challengeId, response });
    expect(others.status).toBe(403);
    const racing = await optionsFor();
    const raced = await device.get(racing.options, { origin, rpId });
    const both = await Promise.all(
      [1, 2].map(() =>
        call("POST", "members/auth-with-passkey", "", { challengeId: racing.challengeId, response: raced }),
      ),
    );
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400]);
  });

  test("other pages, domains, challenges, signatures and unverified users are refused", async () => {
    const { device } = await enrolled("hal");
    expect(await passkeySignIn(device, {}, { origin: "https://evil.example" })).toEqual(FAILED);
    expect(await passkeySignIn(device, {}, { rpId: "evil.example" })).toEqual(FAILED);
    expect(await passkeySignIn(device, {}, { isVerified: false })).toEqual(FAILED);
    const { challengeId } = await optionsFor();
    const mixed = await device.get((await optionsFor()).options, { origin, rpId });
    const wrong = await call("POST", "members/auth-with-passkey", "", { challengeId, response: mixed });
    expect(wrong).toEqual(FAILED);
    const { options, challengeId: other } = await optionsFor();
    const forged = await device.get(options, { origin, rpId });
    forged.response.signature = forged.response.signature.slice(0, -4) + "AAAA";
    expect(
      (await call("POST", "members/auth-with-passkey", "", { challengeId: other, response: forged })).status,
    ).toBe(400);
    for (const response of [undefined, null, "x", { id: {} }, { id: forged.id }]) {
      expect(await call("POST", "members/auth-with-passkey", "", { challengeId: other, response })).toEqual(
        FAILED,
      );
    }
    expect((await passkeySignIn(device)).status).toBe(200);
  });

  test("a counter that goes back ends the passkey, for both of its holders", async () => {
    const { device, token } = await enrolled("ivy");
    expect((await passkeySignIn(device)).status).toBe(200);
    device.counter -= 1;
    expect(await passkeySignIn(device)).toEqual(FAILED);
    device.counter += 5;
    expect(await passkeySignIn(device)).toEqual(FAILED);
    const { json } = await call("GET", "members/passkeys", token);
    expect(json as unknown).toMatchObject([{ cloned: true }]);
  });

  test("it goes with its record, and when somebody proves the address", async () => {
    const gone = await enrolled("jan");
    await root.collection("members").delete(gone.id);
    expect(await passkeySignIn(gone.device)).toEqual(FAILED);
    const early = await enrolled("kai");
    await root.collection("members").update(early.id, { verified: true });
    expect(await passkeySignIn(early.device)).toEqual(FAILED);
    const late = await enrolled("leo", { verified: true });
    await root.collection("members").update(late.id, { name: "Leo" });
    expect((await passkeySignIn(late.device)).status).toBe(200);
  });

  test("a domain and pages of the policy count instead of the host", async () => {
    await policy({ passkey: { rpId: "example.com", origins: ["https://app.example.com"] } });
    const { token } = await member("mia");
    const device = await TestAuthenticator.make();
    const at = { origin: "https://app.example.com", rpId: "example.com" };
    const { json } = await call("POST", "members/passkeys/register-options", token);
    const response = await device.create(json["options"] as Options, at);
    const body = { challengeId: json["challengeId"], response };
    expect((await call("POST", "members/passkeys", token, body)).status).toBe(200);
    expect((await passkeySignIn(device, {}, at)).status).toBe(200);
    await policy({ passkey: { rpId: "" } });
    expect(await passkeySignIn(device, {}, at)).toEqual(FAILED);
  });
});

describe("as the second step", () => {
  test("of PocketBase's MFA, in either order", async () => {
    const { device } = await enrolled("nia");
    await root.collections.update("members", { mfa: { enabled: true, duration: 600 } });
    try {
      const first = await signIn("nia");
      expect(first).toEqual({ status: 401, json: { mfaId: expect.any(String) } });
      const { mfaId } = first.json as { mfaId: string };
      const { options } = await optionsFor({ mfaId });
      expect(options.allowCredentials).toMatchObject([{ id: Buffer.from(device.id).toString("base64url") }]);
      expect((await passkeySignIn(device, { mfaId })).status).toBe(200);
      expect((await call("POST", "members/auth-with-passkey-options", "", { mfaId })).status).toBe(400);

      const other = await passkeySignIn(device);
      expect(other).toEqual({ status: 401, json: { mfaId: expect.any(String) } });
      const again = await passkeySignIn(device, other.json);
      expect(again.json["message"]).toBe("A different authentication method is required.");
      expect((await signIn("nia", other.json)).status).toBe(200);

      await policy({ passkey: { multiFactor: true } });
      expect((await passkeySignIn(device)).status).toBe(200);
      await policy({ passkey: { multiFactor: true, userVerification: "preferred" } });
      expect((await passkeySignIn(device, {}, { isVerified: false })).status).toBe(401);
    } finally {
      await root.collections.update("members", { mfa: { enabled: false } });
    }
  });

  test("is asked of those who have one, when the policy says so", async () => {
    const { device } = await enrolled("oda");
    const stranger = await enrolled("olaf");
    expect((await signIn("oda")).status).toBe(200);
    await policy({ passkey: { secondFactor: true } });
    const { json, status } = await signIn("oda");
    expect([status, Object.keys(json)]).toEqual([401, ["mfaId"]]);
    expect((await passkeySignIn(stranger.device, json)).json["message"]).toBe("Invalid MFA session.");
    expect((await passkeySignIn(device, json)).status).toBe(200);
    await member("otto");
    expect((await signIn("otto")).status).toBe(200);
  });
});

describe("where a second factor is required", () => {
  test("who has none enrols a passkey at sign-in", async () => {
    await member("pia");
    await policy({ required: true });
    const { status, json } = await signIn("pia");
    expect([status, json]).toEqual([401, { mfaId: expect.any(String), enrol: ["passkey"] }]);
    const { mfaId } = json as { mfaId: string };
    expect((await call("POST", "members/passkeys/register-options", "", {})).status).toBe(401);
    const madeUp = await call("POST", "members/passkeys/register-options", "", { mfaId: "made-up" });
    expect(madeUp.status).toBe(400);
    const device = await TestAuthenticator.make();
    const done = await register("", device, { mfaId });
    expect(done).toMatchObject({
      status: 200,
      json: {
        meta: { passkey: { name: "Passkey" } },
        record: { email: "pia@example.com" },
        token: expect.any(String),
      },
    });
    expect((await call("POST", "members/passkeys/register-options", "", { mfaId })).status).toBe(400);
    const again = await signIn("pia");
    expect(again.json).toEqual({ mfaId: expect.any(String) });
    const late = await call("POST", "members/passkeys/register-options", "", again.json);
    expect(late.status).toBe(403);
    expect((await passkeySignIn(device, again.json)).status).toBe(200);
  });

  test("or an app, whose first code ends the sign-in", async () => {
    await member("quin");
    await policy({ required: true, totp: { enabled: true } });
    const { json } = await signIn("quin");
    expect(json["enrol"]).toEqual(["totp", "passkey"]);
    const { mfaId } = json;
    const asked = await call("POST", "members/request-totp", "", { mfaId });
    const secret = Secret.fromBase32(String(asked.json["secret"]));
    const confirm = (code: string) => call("POST", "members/confirm-totp", "", { mfaId, code });
    expect((await confirm("000000")).status).toBe(400);
    const done = await confirm(new TOTP({ secret }).generate());
    expect(done).toMatchObject({ status: 200, json: { record: { email: "quin@example.com" } } });
    expect((done.json["meta"] as { backupCodes: string[] }).backupCodes).toHaveLength(limits.backupCodes);
    expect((await signIn("quin")).json).toEqual({ mfaId: expect.any(String) });
  });

  test("two weak steps are not enough", async () => {
    const { device, id } = await enrolled("rosa");
    await policy({ required: true });
    const { mfaId } = (await signIn("rosa")).json as { mfaId: string };
    const otps = root.collection("_otps");
    const otp = await otps.create({
      collectionRef: (await root.collections.getOne("members")).id,
      recordRef: id,
      password: "87654321",
    });
    const weak = await call("POST", "members/auth-with-otp", "", {
      otpId: otp.id,
      password: "87654321",
      mfaId,
    });
    expect([weak.status, weak.json]).toEqual([401, { mfaId }]);
    expect((await passkeySignIn(device, { mfaId })).status).toBe(200);
  });
});

test("the SDK and the collection's JSON do not notice", async () => {
  const methods = await new PocketBase(api.url).collection("members").listAuthMethods();
  expect(methods.password.enabled).toBe(true);
  const { json } = await call("GET", "members", root.authStore.token);
  expect(JSON.stringify(json)).not.toContain("passkey");
  const names = (await root.collections.getFullList()).map(({ name }) => name);
  expect(names.join()).not.toContain("_mb_");
});
