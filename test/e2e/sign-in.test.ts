import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import { EventSource } from "eventsource";
import PocketBase from "pocketbase";
import { OIDC_CLIENT, type TestOidc, startTestOidc } from "../../worker/features/oauth2/testing.ts";
import { type TestSmtp, startTestSmtp } from "../../worker/mail/testing.ts";
import { type AllInOne, startAllInOne, temporaryDirectory } from "./all-in-one.ts";
import { killAll } from "./process.ts";

setDefaultTimeout(60_000);
globalThis.EventSource ??= EventSource as typeof globalThis.EventSource;

/** What leads out of the platform and back in: mails, and the pages of an identity provider, through the gateway. */
const data = temporaryDirectory();
let platform: AllInOne;
let superuser: PocketBase;
let smtp: TestSmtp;
let oidc: TestOidc;

beforeAll(async () => {
  smtp = await startTestSmtp();
  platform = await startAllInOne(data, [], {
    MANYBASE_MAIL: `smtp://127.0.0.1:${smtp.port}?from=noreply@platform.test`,
  });
  oidc = await startTestOidc([`${platform.url("acme")}/api/oauth2-redirect`]);
  expect((await platform.manybase("tenants", "create", "acme")).status).toBe(0);
  await platform.manybase("tenants", "superuser", "acme", "root@example.com", "root-password-1");
  superuser = new PocketBase(platform.url("acme"));
  superuser.autoCancellation(false);
  await superuser.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
});

afterAll(async () => {
  await killAll();
  await smtp.close();
  await oidc.close();
  rmSync(data, { recursive: true, force: true });
});

test("a tenant without a mail server sends by the platform's, with links to itself", async () => {
  const values = { email: "ann@example.com", password: "12345678", passwordConfirm: "12345678" };
  await superuser.collection("users").create(values);
  const client = new PocketBase(platform.url("acme"));
  await client.collection("users").requestPasswordReset("ann@example.com");
  const { from, to, raw } = await smtp.nth(1);
  expect([from, to]).toEqual(["noreply@platform.test", ["ann@example.com"]]);
  const link = new RegExp(`${platform.url("acme")}/_/#/auth/confirm-password-reset/([\\w.-]+)`).exec(raw);
  await client.collection("users").confirmPasswordReset(link?.[1] ?? "", "new-password", "new-password");
  await client.collection("users").authWithPassword("ann@example.com", "new-password");
});

test("the SDK's popup flow signs in by a provider", async () => {
  const { issuer } = oidc;
  await superuser.collections.update("users", {
    oauth2: {
      enabled: true,
      providers: [
        {
          name: "oidc",
          ...OIDC_CLIENT,
          authURL: `${issuer}/auth`,
          tokenURL: `${issuer}/token`,
          userInfoURL: `${issuer}/me`,
        },
      ],
    },
  });
  oidc.accounts.set("Kim", { email: "kim@example.com", email_verified: true, name: "Kim" });
  const client = new PocketBase(platform.url("acme"));
  const { record, meta } = await client.collection("users").authWithOAuth2({
    provider: "oidc",
    urlCallback: async (url) => {
      await fetch(await oidc.browse(url, "Kim"), { redirect: "manual" });
    },
  });
  expect([record["email"], record["name"], meta?.["isNew"]]).toEqual(["kim@example.com", "Kim", true]);
  await client.realtime.unsubscribe();
});
