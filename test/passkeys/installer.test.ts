import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import PocketBase from "pocketbase";
import { type AllInOne, startAllInOne, temporaryDirectory } from "../e2e/all-in-one.ts";
import { killAll } from "../e2e/process.ts";

setDefaultTimeout(60_000);

const data = temporaryDirectory();
let platform: AllInOne;

beforeAll(async () => {
  platform = await startAllInOne(data);
});
afterAll(async () => {
  await killAll();
  rmSync(data, { recursive: true, force: true });
});

test("the link of a new tenant makes its first superuser, once", async () => {
  const made = await platform.manybase("tenants", "create", "acme");
  expect(made.output).toContain("manybase tenants installer acme");
  const { status, output } = await platform.manybase("tenants", "installer", "acme");
  expect(status).toBe(0);
  const [, host, token = ""] = /(http:\S+)\/_\/#\/pbinstall\/(\S+)/.exec(output) ?? [];
  expect(host).toBe(platform.url("acme"));
  const installer = new PocketBase(platform.url("acme"));
  installer.authStore.save(token);
  const values = { email: "first@example.com", password: "1234567890", passwordConfirm: "1234567890" };
  await installer.collection("_superusers").create(values);
  await expect(installer.collection("_superusers").getFullList()).rejects.toMatchObject({ status: 403 });
  await installer.collection("_superusers").authWithPassword("first@example.com", "1234567890");
  const superusers = await installer.collection("_superusers").getFullList();
  expect(superusers.map(({ email }) => String(email))).toEqual(["first@example.com"]);

  const again = await platform.manybase("tenants", "installer", "acme");
  expect([again.status, again.errors]).toEqual([1, expect.stringContaining("the tenant has a superuser")]);
  const audit = await platform.manybase("platform", "audit");
  expect(audit.output).toContain("installer.open");
  expect(audit.output).not.toContain(token);
});
