import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createTenantApp } from "../../app.ts";
import { SUPERUSER } from "../../app-testing.ts";
import { upsertSuperuser } from "../../auth/superuser.ts";
import { leave } from "../../http/leave.ts";
import { bootstrap } from "../../model/bootstrap.ts";
import { Network } from "../../outbound/network.ts";
import { SQL_FUNCTIONS } from "../../query/functions.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { type TestHost, TestWorld } from "../../tenant/test-world.ts";
import type { TenantId } from "../../../shared/ids.ts";
import type { Options } from "./test-members.ts";
import { TestAuthenticator } from "./testing.ts";

setDefaultTimeout(60_000);

/** One tenant that is asked by several names and changes its owner. */
const OWN = "acme.example.com";
const CUSTOM = "app.customer.test";

let world: TestWorld;
let host: TestHost;
let id: TenantId;
let tenant: Tenant;
let root: string;
const app = createTenantApp({ network: new Network({ allowPrivate: true }) });
const password = "12345678";

const newHost = (): TestHost => world.host({ bootstrap, sqlFunctions: SQL_FUNCTIONS });

beforeAll(async () => {
  world = await TestWorld.open();
  host = newHost();
  id = world.create(host);
  tenant = await world.at(host, id);
  await upsertSuperuser(tenant, tenant.observe(), SUPERUSER.email, SUPERUSER.password);
  root = await tokenOf("_superusers", SUPERUSER.email, SUPERUSER.password);
  await call(OWN, "", { name: "members", type: "auth" }, root);
  await call(OWN, "/members/auth-policy", { passkey: { enabled: true } }, root, "PATCH");
});
afterAll(() => world.close());

async function call(
  name: string,
  path: string,
  body: unknown,
  token = "",
  method = "POST",
): Promise<{ status: number; json: Record<string, unknown> }> {
  const origin = `https://${name}`;
  const headers = { "content-type": "application/json", ...(token === "" ? {} : { authorization: token }) };
  const init = { method, headers, body: JSON.stringify(body) };
  const request = new Request(`${origin}/api/collections${path}`, init);
  const context = {
    request,
    tenant,
    seen: tenant.observe(),
    clientIp: "127.0.0.1",
    origin,
    requestId: "test",
  };
  const answer = await leave(context, await app(context));
  return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
}

async function tokenOf(collection: string, identity: string, secret: string): Promise<string> {
  const { json } = await call(OWN, `/${collection}/auth-with-password`, { identity, password: secret });
  return String(json["token"]);
}

async function enrolled(name: string, at: string): Promise<TestAuthenticator> {
  const email = `${name}@example.com`;
  await call(OWN, "/members/records", { email, password, passwordConfirm: password }, root);
  const token = await tokenOf("members", email, password);
  const device = await TestAuthenticator.make();
  const { json } = await call(at, "/members/passkeys/register-options", {}, token);
  const options = json["options"] as Options & { rp: { id: string } };
  expect(options.rp.id).toBe(at);
  const response = await device.create(options, { origin: `https://${at}`, rpId: at });
  const form = { challengeId: json["challengeId"], response };
  expect((await call(at, "/members/passkeys", form, token)).status).toBe(200);
  return device;
}

const challenge = async (at: string) => (await call(at, "/members/auth-with-passkey-options", {})).json;

async function answer(
  device: TestAuthenticator,
  at: string,
  given: Record<string, unknown>,
): Promise<number> {
  const options = given["options"] as Options;
  const response = await device.get(options, { origin: `https://${at}`, rpId: at });
  const form = { challengeId: given["challengeId"], response };
  return (await call(at, "/members/auth-with-passkey", form)).status;
}
const signIn = async (device: TestAuthenticator, at: string): Promise<number> =>
  answer(device, at, await challenge(at));

test("a passkey is of the name that it was made at: the tenant's own, or a custom domain", async () => {
  const [own, custom] = [await enrolled("own", OWN), await enrolled("custom", CUSTOM)];
  expect([await signIn(own, OWN), await signIn(custom, CUSTOM)]).toEqual([200, 200]);
  expect([await signIn(own, CUSTOM), await signIn(custom, OWN)]).toEqual([400, 400]);
  // Nor does a challenge given at one name count at another.
  expect(await answer(custom, CUSTOM, await challenge(OWN))).toBe(400);
});

test("passkeys, what they counted and open challenges come along when the tenant moves, and live through a failover", async () => {
  const device = await enrolled("mover", CUSTOM);
  const moves = [
    async (): Promise<TestHost> => {
      const next = newHost();
      world.give(id, await host.release(id), next);
      return next;
    },
    async (): Promise<TestHost> => {
      const next = newHost();
      host.abandon();
      await world.takeOver(host, next);
      return next;
    },
  ];
  for (const move of moves) {
    expect(await signIn(device, CUSTOM)).toBe(200);
    const open = await challenge(CUSTOM);
    host = await move();
    tenant = await world.at(host, id);
    expect(await answer(device, CUSTOM, open)).toBe(200);
    // Used up here, wherever it was given.
    expect(await answer(device, CUSTOM, open)).toBe(400);
  }
  // What it has counted came along too: one that counts from the start again is a copy.
  device.counter = 0;
  expect(await signIn(device, CUSTOM)).toBe(400);
});
