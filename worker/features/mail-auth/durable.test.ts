import { afterEach, beforeEach, expect, test } from "bun:test";
import { createTenantApp } from "../../app.ts";
import type { TenantApp } from "../../http/contract.ts";
import { Mailer } from "../../mail/mailer.ts";
import { parsePlatformSender } from "../../mail/sender.ts";
import { bootstrap } from "../../model/bootstrap.ts";
import { modelOf } from "../../model/model.ts";
import { SQL_FUNCTIONS } from "../../query/functions.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { TestWorld, gatedStore } from "../../tenant/test-world.ts";

/** Nothing is sent of what may be lost: the store holds writes back until it is opened. */
let world: TestWorld;
let gated: ReturnType<typeof gatedStore>;
let tenant: Tenant;
let app: TenantApp;
let sent: string[];

beforeEach(async () => {
  world = await TestWorld.open();
  gated = gatedStore(world.store);
  const host = world.host({ store: gated.store, bootstrap, sqlFunctions: SQL_FUNCTIONS });
  tenant = await world.at(host, world.create(host, "durable"));
  sent = [];
  const mailer = new Mailer({
    platform: parsePlatformSender("smtp://mail.test?from=a@b.c", "--mail"),
    transport: { send: async (_, { to, subject }) => void sent.push(`${to.address} ${subject}`) },
  });
  app = createTenantApp({ mailer });
  const model = modelOf(tenant);
  const seen = tenant.observe();
  await tenant.data.write(seen, (tx) => {
    const users = model.schema.find("users");
    if (users === undefined) throw new Error("no users");
    model.updateCollection(tx, users, { otp: { enabled: true, duration: 180, length: 8 } });
  });
  await seen.settled();
});
afterEach(() => {
  gated.open();
  world.close();
});

async function addUser(): Promise<void> {
  const model = modelOf(tenant);
  const users = model.schema.find("users");
  if (users === undefined) throw new Error("no users");
  const values = { email: "ann@example.com", password: "12345678" };
  const pending = model.bind(users, undefined, values, new Map(), { allowHidden: true });
  await model.hashPasswords(pending);
  await tenant.data.write(tenant.observe(), (tx) => model.save(tx, pending));
}

async function post(path: string): Promise<number> {
  const request = new Request(`http://acme.test/api/collections/users/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email: "ann@example.com" }),
  });
  const seen = tenant.observe();
  const base = { tenant, seen, clientIp: "1.1.1.1", origin: "http://acme.test", requestId: "test" };
  return (await app({ request, ...base })).status;
}

for (const [path, status] of [
  ["request-otp", 200],
  ["request-verification", 204],
  ["request-password-reset", 204],
] as const) {
  test(`${path} sends when the record, and what the mail speaks of, is durable`, async () => {
    gated.close();
    await addUser();
    expect(await post(path)).toBe(status);
    await Bun.sleep(100);
    expect(sent).toEqual([]);
    gated.open();
    const deadline = performance.now() + 5_000;
    while (sent.length === 0 && performance.now() < deadline) await Bun.sleep(5);
    expect(sent).toEqual([expect.stringContaining("ann@example.com")]);
  });
}
