import { afterAll, beforeAll, expect, setDefaultTimeout, setSystemTime, test } from "bun:test";
import PocketBase, { ClientResponseError } from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { limits } from "../../../shared/limits.ts";
import { newEmailChangeToken, newPasswordResetToken, newVerificationToken } from "../../auth/tokens.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";

setDefaultTimeout(60_000);

let api: TestApi;
let root: PocketBase;
const password = "12345678";

beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "members",
    type: "auth",
    authRule: "blocked = false",
    passwordAuth: { enabled: true, identityFields: ["email", "handle"] },
    otp: { enabled: true, duration: 180, length: 8 },
    fields: [
      { name: "blocked", type: "bool" },
      { name: "handle", type: "text" },
    ],
    indexes: ["CREATE UNIQUE INDEX idx_members_handle ON members (handle COLLATE NOCASE) WHERE handle != ''"],
  });
});
afterAll(() => api.close());

const guest = (): PocketBase => new PocketBase(api.url);

async function member(name: string, values: Record<string, unknown> = {}): Promise<string> {
  const base = { email: `${name}@example.com`, handle: name, password, passwordConfirm: password };
  return (await root.collection("members").create({ ...base, ...values })).id;
}

async function post(
  path: string,
  body: unknown,
  token = "",
): Promise<{ status: number; json: Record<string, unknown> }> {
  const headers = { "content-type": "application/json", ...(token === "" ? {} : { authorization: token }) };
  const url = `${api.url}/api/collections/members/${path}`;
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await response.text();
  return { status: response.status, json: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

function stored(id: string, collection = "members"): RecordData {
  const model = modelOf(api.tenant);
  const found = model.schema.find(collection);
  const record = found && api.tenant.data.read(api.tenant.observe(), (db) => model.find(db, found, id));
  if (record === undefined) throw new Error(`no ${collection} ${id}`);
  return record;
}

test("auth-with-password finds by any identity field, as its index compares", async () => {
  await member("carl");
  for (const identity of ["carl@example.com", "carl", "CARL"]) {
    expect((await guest().collection("members").authWithPassword(identity, password)).record["email"]).toBe(
      "carl@example.com",
    );
  }
  expect(
    (await post("auth-with-password", { identity: "carl", password, identityField: "email" })).status,
  ).toBe(400);
  expect(
    (await post("auth-with-password", { identity: "carl", password, identityField: "id" })).json,
  ).toMatchObject({
    data: { identityField: { code: "validation_in_invalid" } },
  });
  expect((await post("auth-with-password", {})).json).toMatchObject({
    status: 400,
    message: "An error occurred while validating the submitted data.",
    data: { identity: { code: "validation_required" }, password: { code: "validation_required" } },
  });
  expect((await post("auth-with-password", { identity: 1, password })).json).toMatchObject({
    message: "An error occurred while loading the submitted data.",
  });
});

test("the auth rule keeps out whoever proves to be a refused record", async () => {
  await member("dora", { blocked: true });
  expect((await post("auth-with-password", { identity: "dora", password })).json).toEqual({
    status: 403,
    message: "The request doesn't satisfy the collection requirements to authenticate.",
    data: {},
  });
});

test("a second factor is asked for, of another kind, once", async () => {
  const id = await member("finn");
  await root.collections.update("members", { mfa: { enabled: true, duration: 600 } });
  try {
    const first = await post("auth-with-password", { identity: "finn", password });
    expect(first).toEqual({ status: 401, json: { mfaId: expect.any(String) } });
    const { mfaId } = first.json;
    expect((await post("auth-with-password", { identity: "finn", password, mfaId })).json["message"]).toBe(
      "A different authentication method is required.",
    );
    const otpId = await oneTimePassword(id, "87654321");
    const second = await post("auth-with-otp", { otpId, password: "87654321", mfaId });
    expect([second.status, typeof second.json["token"]]).toEqual([200, "string"]);
    const again = await oneTimePassword(id, "87654321");
    expect((await post("auth-with-otp", { otpId: again, password: "87654321", mfaId })).json["message"]).toBe(
      "Invalid or expired MFA session.",
    );
  } finally {
    await root.collections.update("members", { mfa: { enabled: false } });
  }
});

test("a one-time password works once, verifies the address it was sent to, and not by guessing", async () => {
  const id = await member("gina");
  const otpId = await oneTimePassword(id, "12312312", "gina@example.com");
  const body = { otpId, password: "12312312" };
  expect((await post("auth-with-otp", { otpId, password: "0" })).json["message"]).toBe(
    "Invalid or expired OTP.",
  );
  expect((await post("auth-with-password", { identity: "gina", password })).status).toBe(200);
  expect((await post("auth-with-otp", body)).json).toMatchObject({ record: { verified: true } });
  expect((await post("auth-with-otp", body)).status).toBe(400);
  // Whoever set it had not shown that the address is theirs.
  expect((await post("auth-with-password", { identity: "gina", password })).status).toBe(400);
  const next = await oneTimePassword(id, "12312312");
  const statuses: number[] = [];
  for (let index = 0; index < 5; index++) {
    statuses.push((await post("auth-with-otp", { otpId: next, password: "0" })).status);
  }
  expect(statuses).toEqual([400, 400, 400, 429, 429]);
});

test("a one-time password that proves no address works once too, and not late", async () => {
  const id = await member("ines");
  const first = await oneTimePassword(id, "12312312", "elsewhere@example.com");
  const use = (otpId: string) => post("auth-with-otp", { otpId, password: "12312312" });
  expect((await use(first)).json).toMatchObject({ record: { verified: false } });
  expect((await use(first)).status).toBe(400);
  const second = await oneTimePassword(id, "12312312");
  setSystemTime(new Date(Date.now() + 181_000));
  expect((await use(second)).json["message"]).toBe("Invalid or expired OTP.");
  setSystemTime();
});

test("a session that waits for a second step is of one record, and not for long", async () => {
  const [jana] = [await member("jana"), await member("jens")];
  await root.collections.update("members", { mfa: { enabled: true, duration: 600 } });
  try {
    const { mfaId } = (await post("auth-with-password", { identity: "jens", password })).json;
    const finish = async (recordRef: string) => {
      const otpId = await oneTimePassword(recordRef, "12312312");
      return post("auth-with-otp", { otpId, password: "12312312", mfaId });
    };
    expect((await finish(jana)).json["message"]).toBe("Invalid MFA session.");
    setSystemTime(new Date(Date.now() + 601_000));
    const { id } = await root.collection("members").getFirstListItem("handle = 'jens'");
    expect((await finish(id)).json["message"]).toBe("Invalid or expired MFA session.");
  } finally {
    setSystemTime();
    await root.collections.update("members", { mfa: { enabled: false } });
  }
});

test("auth-with-otp: of two at once with the same password one gets in", async () => {
  const id = await member("nora");
  const otpId = await oneTimePassword(id, "12312312", "nora@example.com");
  const body = { otpId, password: "12312312" };
  const both = await Promise.all([post("auth-with-otp", body), post("auth-with-otp", body)]);
  expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400]);
});

test("auth-with-otp: tries of one password are bounded, from however many addresses they come", async () => {
  const otpId = await oneTimePassword(await member("max"), "12312312");
  await root.settings.update({ trustedProxy: { headers: ["x-client"] } });
  const from = async (address: string): Promise<number> => {
    const headers = { "content-type": "application/json", "x-client": address };
    const body = JSON.stringify({ otpId, password: "0" });
    return (
      await fetch(`${api.url}/api/collections/members/auth-with-otp`, { method: "POST", headers, body })
    ).status;
  };
  const statuses: number[] = [];
  for (let n = 0; n <= limits.otpTriesOfOneMax; n++) statuses.push(await from(`2001:db8::${n}`));
  expect(statuses).toEqual([...Array<number>(limits.otpTriesOfOneMax).fill(400), 429]);
  await root.settings.update({ trustedProxy: { headers: [] } });
});

test("of two at once with the same password reset token one sets the password", async () => {
  const token = newPasswordResetToken(stored(await member("olaf")));
  const reset = (password: string) =>
    post("confirm-password-reset", { token, password, passwordConfirm: password });
  const both = await Promise.all([reset("first-password"), reset("second-password")]);
  expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([204, 400]);
});

test("confirm-verification, confirm-password-reset and confirm-email-change do what their tokens entitle to", async () => {
  const id = await member("hugo");
  expect((await post("confirm-verification", { token: "" })).json).toMatchObject({
    data: { token: { code: "validation_required" } },
  });
  expect(
    (await post("confirm-verification", { token: newPasswordResetToken(stored(id)) })).json,
  ).toMatchObject({
    data: { token: { code: "validation_invalid_token" } },
  });
  expect((await post("confirm-verification", { token: newVerificationToken(stored(id)) })).status).toBe(204);
  expect(stored(id).values["verified"]).toBe(true);

  const reset = newPasswordResetToken(stored(id));
  expect(
    (await post("confirm-password-reset", { token: reset, password: "abcdefgh", passwordConfirm: "x" })).json,
  ).toMatchObject({
    data: { passwordConfirm: { code: "validation_values_mismatch" } },
  });
  const next = { password: "abcdefgh", passwordConfirm: "abcdefgh" };
  expect((await post("confirm-password-reset", { token: reset, ...next })).status).toBe(204);
  await guest().collection("members").authWithPassword("hugo", "abcdefgh");
  expect((await post("confirm-password-reset", { token: reset, ...next })).status).toBe(400);

  const change = newEmailChangeToken(stored(id), "new@example.com");
  expect((await post("confirm-email-change", { token: change, password: "wrong" })).json).toMatchObject({
    data: { password: { code: "validation_invalid_password" } },
  });
  expect((await post("confirm-email-change", { token: change, password: "abcdefgh" })).status).toBe(204);
  expect(stored(id).values["email"]).toBe("new@example.com");
});

test("a refreshable token is renewed, an impersonation's stays as it is", async () => {
  const id = await member("ida");
  const impersonated = await root.collection("members").impersonate(id, 60);
  const token = impersonated.authStore.token;
  expect((await impersonated.collection("members").authRefresh()).token).toBe(token);
  const refused = await guest()
    .collection("members")
    .impersonate(id, 60)
    .catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(ClientResponseError);
  expect((refused as ClientResponseError).status).toBe(401);
});

test("rate limits and superuser addresses of the settings are kept", async () => {
  await root.settings.update({
    rateLimits: {
      enabled: true,
      rules: [{ label: "members:auth", audience: "@guest", duration: 60, maxRequests: 2 }],
    },
  });
  const statuses: number[] = [];
  for (let index = 0; index < 3; index++) {
    statuses.push((await post("auth-with-password", { identity: "nobody", password })).status);
  }
  expect(statuses).toEqual([400, 400, 429]);
  await root.settings.update({ trustedProxy: { headers: ["X-Real"] } });
  const elsewhere = await fetch(`${api.url}/api/collections/members/auth-with-password`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-real": "9.9.9.9, 8.8.8.8" },
    body: JSON.stringify({ identity: "nobody", password }),
  });
  expect(elsewhere.status).toBe(400);
  await root.settings.update({ rateLimits: { enabled: false }, superuserIPs: ["10.0.0.0/8"] });
  const login = { identity: SUPERUSER.email, password: SUPERUSER.password };
  expect((await post("../_superusers/auth-with-password", login)).status).toBe(403);
  expect(
    (await root.health.check().catch((error: unknown) => (error as ClientResponseError).status)) as unknown,
  ).toBe(403);
});

async function oneTimePassword(recordRef: string, plain: string, sentTo = ""): Promise<string> {
  const { collection } = stored(recordRef);
  const values = { collectionRef: collection.id, recordRef, password: plain, sentTo };
  return (await root.collection("_otps").create(values)).id;
}
