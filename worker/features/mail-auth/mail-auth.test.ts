import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { limits } from "../../../shared/limits.ts";
import { type TestSmtp, startTestSmtp } from "../../mail/testing.ts";
import { modelOf } from "../../model/model.ts";

let api: TestApi;
let root: PocketBase;
let smtp: TestSmtp;
const password = "12345678";

beforeAll(async () => {
  smtp = await startTestSmtp({ username: "acme", password: "s3cret" });
  api = await startTestApi();
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "members",
    type: "auth",
    otp: {
      enabled: true,
      duration: 180,
      length: 6,
      emailTemplate: { subject: "Code", body: "[{OTP}|{OTP_ID}]" },
    },
    verificationTemplate: {
      subject: "Hello {RECORD:nick}",
      body: "{RECORD:nick} {APP_NAME} {APP_URL}/v/{TOKEN} {RECORD:hint}",
    },
    fields: [
      { name: "nick", type: "text" },
      { name: "hint", type: "text", hidden: true },
    ],
  });
});
afterAll(async () => {
  await api.close();
  await smtp.close();
});
beforeEach(async () => {
  smtp.received.length = 0;
  await useServer(smtp.port);
});

async function useServer(port: number, enabled = true): Promise<void> {
  await root.settings.update({
    smtp: { enabled, host: "127.0.0.1", port, username: "acme", password: "s3cret", tls: false },
    meta: {
      appName: "Acme",
      appURL: "https://acme.test/",
      senderName: "Acme",
      senderAddress: "hi@acme.test",
    },
  });
}

const guest = (): PocketBase => new PocketBase(api.url);

async function member(name: string, values: Record<string, unknown> = {}): Promise<string> {
  const base = { email: `${name}@example.com`, password, passwordConfirm: password };
  return (await root.collection("members").create({ ...base, ...values })).id;
}

interface Answer {
  status: number;
  json: Record<string, unknown>;
}

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`${api.url}/api/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, json: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

/** Enough for a mail that should not come to have come. */
const settle = (): Promise<void> => Bun.sleep(150);

describe("request-verification", () => {
  test("sends a link that confirms, once in two minutes, and says nothing of who is there", async () => {
    const { id } = await root.collection("members").create({
      ...{ email: "ann@example.com", password, passwordConfirm: password },
      ...{ nick: "<b>Ann</b>", hint: "not hers to read" },
    });
    expect(
      (await post("collections/members/request-verification", { email: "ann@example.com" })).status,
    ).toBe(204);
    const mail = await smtp.nth(1);
    expect(mail).toMatchObject({ from: "hi@acme.test", to: ["ann@example.com"], login: "acme" });
    expect(mail.raw).toContain("Subject: Hello &lt;b&gt;Ann&lt;/b&gt;");
    expect(mail.raw).toContain("&lt;b&gt;Ann&lt;/b&gt; Acme https://acme.test/v/");
    expect(mail.raw).not.toContain("not hers to read");
    for (const email of ["ann@example.com", "nobody@example.com"]) {
      expect((await post("collections/members/request-verification", { email })).status).toBe(204);
    }
    await settle();
    expect(smtp.received).toHaveLength(1);
    await guest().collection("members").confirmVerification(tokenOf(mail.raw));
    expect((await root.collection("members").getOne(id))["verified"]).toBe(true);
  });

  test("sends nothing to who is verified", async () => {
    await member("vera", { verified: true });
    await guest().collection("members").requestVerification("vera@example.com");
    await settle();
    expect(smtp.received).toHaveLength(0);
  });

  test("refuses what is no email, a superuser, and what is no auth collection", async () => {
    expect(await post("collections/members/request-verification", { email: "x" })).toMatchObject({
      status: 400,
      json: {
        message: "An error occurred while validating the submitted data.",
        data: { email: { code: "validation_is_email" } },
      },
    });
    expect((await post("collections/members/request-verification", {})).json).toMatchObject({
      data: { email: { code: "validation_required" } },
    });
    expect(
      (await post("collections/_superusers/request-verification", { email: "a@b.c" })).json,
    ).toMatchObject({
      message: "All superusers are verified by default.",
    });
    expect((await post("collections/_mfas/request-verification", { email: "a@b.c" })).status).toBe(404);
  });
});

test("request-password-reset sends a link that sets a new password, also to superusers", async () => {
  await member("rob");
  await guest().collection("members").requestPasswordReset("rob@example.com");
  await guest().collection("members").requestPasswordReset("rob@example.com");
  const token = tokenOf((await smtp.nth(1)).raw);
  await guest().collection("members").confirmPasswordReset(token, "new-password", "new-password");
  const { record } = await guest().collection("members").authWithPassword("rob@example.com", "new-password");
  expect(record["verified"]).toBe(true);
  await guest().collection("_superusers").requestPasswordReset(SUPERUSER.email);
  expect((await smtp.nth(2)).to).toEqual([SUPERUSER.email]);
  await settle();
  expect(smtp.received).toHaveLength(2);
});

describe("request-email-change", () => {
  test("sends to the new address a link that changes it", async () => {
    const id = await member("eva");
    const own = guest();
    await own.collection("members").authWithPassword("eva@example.com", password);
    await own.collection("members").requestEmailChange("eva2@example.com");
    const mail = await smtp.nth(1);
    expect(mail.to).toEqual(["eva2@example.com"]);
    await own.collection("members").confirmEmailChange(tokenOf(mail.raw), password);
    expect(await root.collection("members").getOne(id)).toMatchObject({
      email: "eva2@example.com",
      verified: true,
    });
  });

  test("refuses guests, other collections, the same and a taken address", async () => {
    await member("sid");
    const own = guest();
    const { token } = await own.collection("members").authWithPassword("sid@example.com", password);
    const authorization = { authorization: token };
    const path = "collections/members/request-email-change";
    expect((await post(path, { newEmail: "z@example.com" })).status).toBe(401);
    expect((await post("collections/users/request-email-change", {}, authorization)).status).toBe(403);
    expect((await post(path, { newEmail: "sid@example.com" }, authorization)).json).toMatchObject({
      data: { newEmail: { code: "validation_not_in_invalid" } },
    });
    expect((await post(path, { newEmail: "rob@example.com" }, authorization)).json).toMatchObject({
      data: { newEmail: { code: "validation_invalid_new_email" } },
    });
    const asRoot = { authorization: root.authStore.token };
    expect(
      (await post("collections/_superusers/request-email-change", { newEmail: "q@q.q" }, asRoot)).json,
    ).toMatchObject({ message: "All superusers can change their emails directly." });
  });
});

describe("request-otp", () => {
  test("sends a password that signs in and verifies the address", async () => {
    await member("olga");
    const { otpId } = await guest().collection("members").requestOTP("olga@example.com");
    const found = /\[(\d{6})\|(\w+)\]/.exec((await smtp.nth(1)).raw);
    expect(found?.[2]).toBe(otpId);
    const { record } = await guest()
      .collection("members")
      .authWithOTP(otpId, found?.[1] ?? "");
    expect(record).toMatchObject({ email: "olga@example.com", verified: true });
  });

  test("gives an id also for who is not there, and no tenth password alive", async () => {
    await member("otto");
    const nobody = await guest().collection("members").requestOTP("nobody@example.com");
    expect(nobody.otpId).toMatch(/^[a-z0-9]{15}$/);
    const ids = new Set<string>();
    for (let index = 0; index < limits.otpsLiveMax + 4; index++) {
      ids.add((await guest().collection("members").requestOTP("otto@example.com")).otpId);
    }
    expect(ids.size).toBe(limits.otpsLiveMax + 1);
    await smtp.nth(ids.size);
    await settle();
    expect(smtp.received).toHaveLength(ids.size);
  });

  test("is refused where it is not enabled", async () => {
    expect(await post("collections/users/request-otp", { email: "a@b.c" })).toMatchObject({
      status: 403,
      json: { message: "The collection is not configured to allow OTP authentication." },
    });
  });
});

test("signing in from a new place is told by mail, but the first time", async () => {
  const id = await member("lena");
  const signIn = (agent: string): Promise<Answer> =>
    post(
      "collections/members/auth-with-password?fields=token",
      { identity: "lena@example.com", password },
      { "user-agent": agent },
    );
  expect((await signIn("one")).status).toBe(200);
  expect((await signIn("one")).status).toBe(200);
  await settle();
  expect(smtp.received).toHaveLength(0);
  await signIn("<two>");
  expect((await smtp.nth(1)).raw).toContain("127.0.0.1 &lt;two&gt;");
  for (const agent of ["three", "four", "five", "six", "one"]) await signIn(agent);
  const origins = await root.collection("_authOrigins").getFullList({ filter: `recordRef = "${id}"` });
  expect(origins).toHaveLength(limits.authOriginsMax);
  await smtp.nth(6);
  await root.collections.update("members", { authAlert: { enabled: false } });
  await signIn("seven");
  await settle();
  expect(smtp.received).toHaveLength(6);
  await root.collections.update("members", { authAlert: { enabled: true } });
});

describe("settings/test/email", () => {
  const send = (
    body: Record<string, unknown>,
    headers = { authorization: root.authStore.token },
  ): Promise<Answer> => post("settings/test/email", body, headers);

  test("sends each template and waits for the server", async () => {
    for (const template of ["verification", "password-reset", "email-change", "otp", "login-alert"]) {
      expect((await send({ email: "me@example.com", template, collection: "members" })).status).toBe(204);
    }
    expect(smtp.received.map(({ to }) => to)).toEqual(Array.from({ length: 5 }, () => ["me@example.com"]));
    expect(smtp.received[0]?.raw).toContain("Hello __pb_test_nick");
    expect((await send({ email: "me@example.com", template: "otp" })).status).toBe(204);
  });

  test("tells what is wrong with the form and with the server", async () => {
    expect(await send({ email: "x", template: "no", collection: "_mfas" })).toMatchObject({
      status: 400,
      json: {
        message: "Failed to send the test email.",
        data: {
          email: { code: "validation_is_email" },
          template: { code: "validation_in_invalid" },
          collection: { code: "validation_invalid_auth_collection" },
        },
      },
    });
    expect(await send({ email: "a@b.co", template: "otp", collection: "x".repeat(256) })).toMatchObject({
      json: { data: { collection: { code: "validation_length_out_of_range" } } },
    });
    expect((await send({ email: "a@b.c", template: "otp" }, { authorization: "" })).status).toBe(401);
    await root.settings.update({ smtp: { password: "wrong" } });
    expect((await send({ email: "a@b.c", template: "otp" })).json["message"]).toMatch(
      /^Failed to send the test email\. Raw error: \nCannot send mail by 127\.0\.0\.1: .*Invalid login/,
    );
    await useServer(smtp.port, false);
    expect((await send({ email: "a@b.c", template: "otp" })).json["message"]).toContain(
      "no mail server is set up",
    );
  });
});

test("without any mail server what may say so says so, and nothing counts as sent", async () => {
  await useServer(smtp.port, false);
  await member("nora");
  const own = guest();
  const { token } = await own.collection("members").authWithPassword("nora@example.com", password);
  expect(
    await post(
      "collections/members/request-email-change",
      { newEmail: "n2@example.com" },
      { authorization: token },
    ),
  ).toMatchObject({ status: 400, json: { message: "Failed to request email change." } });
  await guest().collection("members").requestPasswordReset("nora@example.com");
  await settle();
  await useServer(smtp.port);
  await guest().collection("members").requestPasswordReset("nora@example.com");
  expect((await smtp.nth(1)).to).toEqual(["nora@example.com"]);
});

test("a dead mail server blocks no request", async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => void silent.listen(0, "127.0.0.1", resolve));
  try {
    await useServer((silent.address() as AddressInfo).port);
    await member("dead");
    const startedMs = performance.now();
    await guest().collection("members").requestVerification("dead@example.com");
    await guest().collection("members").requestOTP("dead@example.com");
    expect(performance.now() - startedMs).toBeLessThan(limits.mailConnectMs);
  } finally {
    silent.close();
  }
});

test("a one-time password that did not come to be stored is not sent", async () => {
  await member("gone");
  const model = modelOf(api.tenant);
  let isArmed = true;
  model.listen((_, change) => {
    if (isArmed && change.collection.name === "_otps") throw new Error("the transaction fails");
  });
  expect((await post("collections/members/request-otp", { email: "gone@example.com" })).status).toBe(400);
  isArmed = false;
  await settle();
  expect(smtp.received).toHaveLength(0);
});

function tokenOf(raw: string): string {
  const found = /[\w-]+\.[\w-]+\.[\w-]{40,}/.exec(raw);
  if (found === null) throw new Error("no token in the mail");
  return found[0];
}
