import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Secret, TOTP } from "otpauth";
import { STRONG_FACTORS } from "../app.ts";
import { SUPERUSER, type TestApi, startTestApi } from "../app-testing.ts";
import { parseKeyring } from "../../shared/protocol/keys.ts";
import { signTicket } from "../../shared/protocol/ticket.ts";
import { createPlatformApp } from "./app.ts";

setDefaultTimeout(60_000);

let api: TestApi;
const keys = parseKeyring(`member-1:${"A".repeat(43)}`, "test key");

beforeAll(async () => {
  api = await startTestApi("async");
});
afterAll(() => api.close());

async function asOperator(body: unknown): Promise<Response> {
  const expiresMs = Date.now() + 60_000;
  const ticket = signTicket(keys, { tenant: api.tenant.id, action: "superuser", expiresMs });
  const request = new Request("http://x/_manybase/superusers", {
    method: "POST",
    headers: { authorization: `Ticket ${ticket}` },
    body: JSON.stringify(body),
  });
  const { tenant } = api;
  const asked = { tenant, seen: tenant.observe(), clientIp: "", origin: "", requestId: "" };
  return createPlatformApp({ keys, factors: STRONG_FACTORS })({ request, ...asked });
}

async function call(method: string, path: string, body?: unknown, token = ""): Promise<Response> {
  const headers = { "content-type": "application/json", ...(token === "" ? {} : { authorization: token }) };
  const init = body === undefined ? {} : { body: JSON.stringify(body) };
  return fetch(`${api.url}/api/collections/_superusers/${path}`, { method, headers, ...init });
}
const signIn = (password = SUPERUSER.password): Promise<Response> =>
  call("POST", "auth-with-password", { identity: SUPERUSER.email, password });

test("a sole superuser who has lost the authenticator comes in again by the operator, with a new password", async () => {
  const { token } = (await (await signIn()).json()) as { token: string };
  expect((await call("PATCH", "auth-policy", { totp: { enabled: true } }, token)).status).toBe(200);
  const made = (await (await call("POST", "request-totp", {}, token)).json()) as { secret: string };
  const code = new TOTP({ secret: Secret.fromBase32(made.secret) }).generate();
  expect((await call("POST", "confirm-totp", { code }, token)).status).toBe(200);
  expect((await signIn()).status).toBe(401);

  const reset = { email: SUPERUSER.email, password: "another-password" };
  expect(await (await asOperator(reset)).json()).toMatchObject({ created: false });
  // A password alone is one factor of two.
  expect((await signIn(reset.password)).status).toBe(401);
  expect((await asOperator({ ...reset, resetMfa: true })).status).toBe(200);
  const back = await signIn(reset.password);
  expect(back.status).toBe(200);
  expect(
    await (await call("GET", "totp", undefined, ((await back.json()) as { token: string }).token)).json(),
  ).toEqual({
    enabled: false,
    backupCodes: 0,
  });
});
