import { afterEach, expect, setSystemTime, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { SUPERUSER, startTestApi } from "../app-testing.ts";
import { INSTALLER_EMAIL } from "../model/records/auth-changes.ts";
import { modelOf } from "../model/model.ts";
import { openInstaller } from "./installer.ts";
import { SUPERUSERS } from "./tokens.ts";

afterEach(() => {
  setSystemTime();
});

/** A tenant as one that was just created: nobody is in it. */
async function emptyTenant() {
  const api = await startTestApi();
  const { tenant } = api;
  const model = modelOf(tenant);
  await tenant.data.write(tenant.observe(), (tx) => {
    tx.run(`DELETE FROM "${SUPERUSERS}"`);
  });
  const emails = (): unknown[] =>
    tenant.data.read(tenant.observe(), (db) => db.values(`SELECT email FROM "${SUPERUSERS}"`).flat());
  const create = (token: string, email: string): Promise<Response> =>
    fetch(`${api.url}/api/collections/${SUPERUSERS}/records`, {
      method: "POST",
      headers: { authorization: token, "content-type": "application/json" },
      body: JSON.stringify({ email, password: "1234567890", passwordConfirm: "1234567890" }),
    });
  return { api, tenant, model, emails, create };
}

test("the installer's token makes the first superuser, who replaces it", async () => {
  const { api, tenant, emails, create } = await emptyTenant();
  const { token } = await openInstaller(tenant, tenant.observe());
  expect(emails()).toEqual([INSTALLER_EMAIL]);
  expect((await create(token, "first@example.com")).status).toBe(200);
  expect(emails()).toEqual(["first@example.com"]);
  expect((await create(token, "second@example.com")).status).toBe(403);
  await expect(openInstaller(tenant, tenant.observe())).rejects.toMatchObject({ code: "conflict" });
  await api.close();
});

test("a newer link ends an older one, and each ends by itself", async () => {
  const { api, tenant, emails, create } = await emptyTenant();
  const first = await openInstaller(tenant, tenant.observe());
  const second = await openInstaller(tenant, tenant.observe());
  expect(emails()).toEqual([INSTALLER_EMAIL]);
  expect((await create(first.token, "a@example.com")).status).toBe(403);
  setSystemTime(new Date(Date.now() + limits.installerTokenSeconds * 1000 + 1_000));
  expect((await create(second.token, "a@example.com")).status).toBe(403);
  setSystemTime();
  expect((await create(second.token, "a@example.com")).status).toBe(200);
  await api.close();
});

test("a superuser made meanwhile leaves no installer behind", async () => {
  const { api, tenant, emails } = await emptyTenant();
  const opening = openInstaller(tenant, tenant.observe());
  await tenant.data.write(tenant.observe(), (tx) => {
    tx.run(
      `INSERT INTO "${SUPERUSERS}" (id, email, tokenKey, password) VALUES ('a', 'first@example.com', 'k', '')`,
    );
  });
  await expect(opening).rejects.toMatchObject({ code: "conflict" });
  expect(emails()).toEqual(["first@example.com"]);
  await api.close();
});

test("a tenant with a superuser has no installer", async () => {
  const api = await startTestApi();
  const { tenant } = api;
  await expect(openInstaller(tenant, tenant.observe())).rejects.toMatchObject({ code: "conflict" });
  const rows = tenant.data.read(tenant.observe(), (db) => db.values(`SELECT email FROM "${SUPERUSERS}"`));
  expect(rows).toEqual([[SUPERUSER.email]]);
  await api.close();
});
