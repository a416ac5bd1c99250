import { expect, test } from "bun:test";
import { startTestApi } from "../app-testing.ts";
import { modelOf } from "../model/model.ts";
import { policyOf, savePolicy } from "./policy.ts";

test("a table from before passkeys is read, and grows at the first change", async () => {
  const api = await startTestApi();
  const { tenant } = api;
  const users = modelOf(tenant).schema.find("users");
  if (users === undefined) throw new Error("no users");
  const read = () => tenant.data.read(tenant.observe(), (db) => policyOf(db, users));
  await tenant.data.write(tenant.observe(), (tx) => {
    tx.exec(
      "CREATE TABLE `_mb_authPolicies` (collectionRef TEXT PRIMARY KEY NOT NULL, totpEnabled INTEGER NOT NULL, totpIssuer TEXT NOT NULL) WITHOUT ROWID",
    );
    tx.run("INSERT INTO `_mb_authPolicies` VALUES (?, 1, 'House')", [users.id]);
  });
  const before = read();
  expect(before).toMatchObject({ required: false, totp: { enabled: true, issuer: "House" } });
  const after = {
    ...before,
    required: true,
    passkey: { ...before.passkey, enabled: true, rpId: "a.example" },
  };
  await tenant.data.write(tenant.observe(), (tx) => savePolicy(tx, users, after));
  expect(read()).toEqual(after);
  await api.close();
});
