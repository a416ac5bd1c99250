import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { signToken } from "../../auth/jwt.ts";
import { tokenOptions } from "../../auth/options.ts";
import { upsertSuperuser } from "../../auth/superuser.ts";
import { SUPERUSERS, newAuthToken, newEmailChangeToken } from "../../auth/tokens.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";

setDefaultTimeout(60_000);

let api: TestApi;
let root: string;

beforeAll(async () => {
  api = await startTestApi("async");
  root = newAuthToken(superuser());
  await send("/api/collections", { name: "members", type: "auth" }, root);
  for (const name of ["ann", "bob"]) {
    const body = { email: `${name}@example.com`, password: "12345678", passwordConfirm: "12345678" };
    await send("/api/collections/members/records", { id: name.padEnd(15, "0"), ...body }, root);
  }
});
afterAll(() => api.close());

function find(collection: string, where: string, value: string): RecordData {
  const model = modelOf(api.tenant);
  const found = model.schema.find(collection);
  const row = api.tenant.data.read(api.tenant.observe(), (db) =>
    db.get(`SELECT * FROM "${collection}" WHERE ${where} = ?`, [value]),
  );
  if (found === undefined || row === undefined) throw new Error(`no ${collection} ${value}`);
  return model.fromRow(found, row);
}
const superuser = (): RecordData => find(SUPERUSERS, "email", SUPERUSER.email);
const member = (name: string): RecordData => find("members", "id", name.padEnd(15, "0"));

async function send(
  path: string,
  body: unknown,
  token = "",
  type = "application/json",
): Promise<{ status: number; json: Record<string, unknown> }> {
  const headers = { "content-type": type, ...(token === "" ? {} : { authorization: token }) };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(api.url + path, { method: "POST", headers, body: text });
  const answer = await response.text();
  return {
    status: response.status,
    json: answer === "" ? {} : (JSON.parse(answer) as Record<string, unknown>),
  };
}
const post = (path: string, body: unknown, token = "", type?: string) =>
  send(`/api/collections/members/${path}`, body, token, type);

test("a body of an unknown type is named as such, one that cannot be read is not", async () => {
  for (const path of ["auth-with-password", "confirm-verification", "request-verification"]) {
    expect((await post(path, "x", "", "text/plain")).json["message"]).toBe("Unsupported Content-Type.");
    expect((await post(path, "{")).json["message"]).toBe(
      "An error occurred while loading the submitted data.",
    );
  }
});

test("confirm-password-reset never says why a body cannot be read", async () => {
  for (const [body, type] of [
    ["x", "text/plain"],
    ["{", "application/json"],
  ] as const) {
    expect((await post("confirm-password-reset", body, "", type)).json["message"]).toBe(
      "An error occurred while loading the submitted data.",
    );
  }
});

test("names of JSON fields count in any case, the last that is not null; of a form's repeated ones the first", async () => {
  const form = "application/x-www-form-urlencoded";
  const good = '"identity":"bob@example.com"';
  for (const [body, type, status] of [
    [`{"IDENTITY":"bob@example.com","Password":"12345678"}`, "application/json", 200],
    [`{"identity":"nobody","Identity":"bob@example.com","password":"12345678"}`, "application/json", 200],
    [`{${good},"IDENTITY":null,"password":"12345678"}`, "application/json", 200],
    [`{${good},"password":"12345678","identityfield":"username"}`, "application/json", 400],
    ["identity=bob%40example.com&identity=nobody&password=12345678", form, 200],
    ["identity=nobody&identity=bob%40example.com&password=12345678", form, 400],
    ["Identity=bob%40example.com&password=12345678", form, 400],
  ] as const) {
    expect([body, (await post("auth-with-password", body, "", type)).status]).toEqual([body, status]);
  }
});

test("lengths of forms are bytes", async () => {
  const lengthOf = (field: string) => ({ data: { [field]: { code: "validation_length_out_of_range" } } });
  const long = "é".repeat(128);
  expect((await post("auth-with-password", { identity: long, password: "x" })).json).toMatchObject(
    lengthOf("identity"),
  );
  const short = { token: "x", password: "é".repeat(4), passwordConfirm: "é".repeat(4) };
  expect((await post("confirm-password-reset", short)).json["data"]).toEqual({
    token: { code: "validation_invalid_token", message: "Invalid or expired token." },
  });
});

test("a duration is a 64 bit integer, of a form also none", async () => {
  const form = "application/x-www-form-urlencoded";
  const path = `impersonate/${member("bob").id}`;
  for (const [body, type, status] of [
    [`{"DURATION":20}`, "application/json", 200],
    [`{"duration":1e18}`, "application/json", 200],
    [`{"duration":1e19}`, "application/json", 400],
    [`{"duration":"20"}`, "application/json", 400],
    [`{"duration":1.5}`, "application/json", 400],
    ["duration=", form, 200],
    ["duration=20&duration=x", form, 200],
    ["duration=true", form, 400],
  ] as const) {
    expect([body, (await post(path, body, root, type)).status]).toEqual([body, status]);
  }
});

test("refresh has no use for a body, but its rule may: what cannot be read is refused", async () => {
  const token = newAuthToken(member("ann"));
  expect((await post("auth-refresh", {}, token)).status).toBe(200);
  expect(await post("auth-refresh", "{", token)).toMatchObject({
    status: 400,
    json: { message: "Something went wrong while processing your request." },
  });
  expect((await post("auth-refresh", "x", token, "text/plain")).json["message"]).toBe(
    "Unsupported Content-Type.",
  );
});

test("a token is renewed when its claim can be read as true", async () => {
  const { id, collection, values } = member("ann");
  const key = String(values["tokenKey"]) + tokenOptions(collection, "auth").secret;
  const exp = Math.floor(Date.now() / 1000) + 1000;
  for (const [refreshable, isRenewed] of [
    ["true", true],
    [1, true],
    ["no", false],
    [0, false],
  ] as const) {
    const token = signToken({ id, collectionId: collection.id, type: "auth", exp, refreshable }, key);
    expect((await post("auth-refresh", {}, token)).json["token"] !== token).toBe(isRenewed);
  }
});

test("confirm-email-change looks at the token before it looks at the address", async () => {
  const confirm = (token: string, password = "12345678") => post("confirm-email-change", { token, password });
  const token = newEmailChangeToken(member("ann"), "new@example.com");
  const tokenError = (code: string) => ({ status: 400, json: { data: { token: { code } } } });
  expect(await confirm(newEmailChangeToken(member("ann"), ""))).toMatchObject(
    tokenError("validation_invalid_token_payload"),
  );
  expect(await confirm(newEmailChangeToken(member("ann"), "bob@example.com"))).toMatchObject(
    tokenError("validation_invalid_token_email"),
  );
  await upsertSuperuser(api.tenant, api.tenant.observe(), "taken@example.com", "1234567890");
  expect(await confirm(newEmailChangeToken(superuser(), "bob@example.com"))).toMatchObject(
    tokenError("validation_token_collection_mismatch"),
  );
  expect((await confirm(token)).status).toBe(204);
  // Its address is taken now, by itself, but that is not what is wrong with it.
  expect(await confirm(token)).toMatchObject(tokenError("validation_invalid_token"));
});

test("the id of an MFA session is a text", async () => {
  const otp = { enabled: true, duration: 180, length: 8 };
  const collection = `${api.url}/api/collections/members`;
  const change = async (body: unknown): Promise<void> => {
    const headers = { "content-type": "application/json", authorization: root };
    await fetch(collection, { method: "PATCH", headers, body: JSON.stringify(body) });
  };
  await change({ otp, mfa: { enabled: true, duration: 600 } });
  const form = { identity: "bob@example.com", password: "12345678" };
  expect((await post("auth-with-password", { ...form, mfaId: 1 })).json["message"]).toBe(
    "Failed to read MFA Id.",
  );
  expect((await post("auth-with-password", { ...form, mfaId: null })).status).toBe(401);
  await change({ mfa: { enabled: false } });
});
