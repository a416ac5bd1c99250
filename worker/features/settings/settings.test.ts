import { afterAll, beforeAll, expect, test } from "bun:test";
import PocketBase, { ClientResponseError } from "pocketbase";
import { limits } from "../../../shared/limits.ts";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { loadSettings } from "../../pb/settings.ts";

let api: TestApi;
let root: PocketBase;

beforeAll(async () => {
  api = await startTestApi("async");
  root = new PocketBase(api.url);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
});
afterAll(() => api.close());

async function refused(body: Record<string, unknown>): Promise<unknown> {
  try {
    await root.settings.update(body);
  } catch (error) {
    if (error instanceof ClientResponseError) return error.response;
  }
  throw new Error("expected a refusal");
}

test("settings are merged deeply, secrets are kept and never shown", async () => {
  expect((await fetch(`${api.url}/api/settings`)).status).toBe(401);
  const s3 = {
    enabled: true,
    bucket: "b",
    region: "r",
    endpoint: "https://s3.example.com",
    accessKey: "a",
    secret: "hush",
  };
  await root.settings.update({ s3, smtp: { password: "quiet" } });
  const updated = await root.settings.update({ s3: { bucket: "c" }, meta: { appName: "Mine" }, unknown: 1 });
  expect(updated).toMatchObject({
    s3: { bucket: "c", region: "r" },
    meta: { appName: "Mine", senderName: "Support" },
  });
  expect(updated).not.toHaveProperty("unknown");
  const shown = await root.settings.getAll();
  expect(JSON.stringify(shown)).not.toMatch(/hush|quiet|secret|password/);
  expect(Object.keys(shown)).toEqual([
    "superuserIPs",
    "smtp",
    "backups",
    "s3",
    "meta",
    "rateLimits",
    "trustedProxy",
    "batch",
    "logs",
  ]);
  const stored = api.tenant.data.read(api.tenant.observe(), loadSettings);
  expect(stored).toMatchObject({ s3: { secret: "hush" }, smtp: { password: "quiet" } });
});

test("settings that make no sense are refused by group and field, and change nothing", async () => {
  const before = await root.settings.getAll();
  const response = await refused({
    meta: { appName: "", senderAddress: "nobody" },
    smtp: { enabled: true, host: "" },
    backups: { cron: "every day" },
    batch: { enabled: true, maxRequests: 0 },
    rateLimits: {
      enabled: true,
      rules: [
        { label: "*:auth", duration: 0, maxRequests: 1 },
        { label: "*:view", duration: 1, maxRequests: 1 },
        { label: "*:view", audience: "@guest", duration: 1, maxRequests: 1 },
      ],
    },
    logs: { maxDays: -1 },
  });
  expect(response).toMatchObject({
    status: 400,
    message: "An error occurred while saving the new settings.",
    data: {
      meta: { appName: { code: "validation_required" }, senderAddress: { code: "validation_is_email" } },
      smtp: { host: { code: "validation_required" } },
      backups: { cron: { code: "validation_invalid_cron" } },
      batch: { maxRequests: { code: "validation_required" } },
      rateLimits: {
        rules: {
          0: { duration: { code: "validation_required" } },
          2: { label: { code: "validation_conflicting_rate_limit_rule" } },
        },
      },
      logs: { maxDays: { code: "validation_min_greater_equal_than_required" } },
    },
  });
  expect(await root.settings.getAll()).toEqual(before);
});

test("items of a list are changed in their place, as Go decodes into what is there", async () => {
  const rule = { label: "*:auth", audience: "@guest", duration: 3, maxRequests: 2 };
  await root.settings.update({ rateLimits: { rules: [rule] } });
  const rules = [
    { label: "*:list", duration: 1, maxRequests: 1 },
    { label: "*:view", duration: 1, maxRequests: 1 },
  ];
  expect(await root.settings.update({ rateLimits: { rules } })).toMatchObject({
    rateLimits: {
      rules: [
        { label: "*:list", audience: "@guest" },
        { label: "*:view", audience: "" },
      ],
    },
  });
  await root.settings.update({ rateLimits: { rules: [] } });
});

test("input is read as Go reads it: names in any case, null in a list as nothing, integers of 64 bits", async () => {
  expect(await root.settings.update({ META: { APPNAME: "cased" } })).toMatchObject({
    meta: { appName: "cased" },
  });
  expect(await root.settings.update({ trustedProxy: { headers: [null] } })).toMatchObject({
    trustedProxy: { headers: [""] },
  });
  expect(await refused({ superuserIPs: [null] })).toMatchObject({
    data: { superuserIPs: { 0: { code: "validation_required" } } },
  });
  expect(await refused({ logs: { minLevel: 2 ** 63 } })).toMatchObject({
    message: "An error occurred while loading the submitted data.",
  });
  expect(await refused({ meta: { senderName: "é".repeat(128) } })).toMatchObject({
    data: { meta: { senderName: { code: "validation_length_out_of_range" } } },
  });
  await root.settings.update({ trustedProxy: { headers: [] } });
});

test("a form names settings by their paths", async () => {
  const send = async (body: string): Promise<{ status: number; json: unknown }> => {
    const headers = {
      "content-type": "application/x-www-form-urlencoded",
      authorization: root.authStore.token,
    };
    const answer = await fetch(`${api.url}/api/settings`, { method: "PATCH", headers, body });
    return { status: answer.status, json: await answer.json() };
  };
  const several =
    "meta.appName=12&batch.maxRequests=7&logs.logIP=1&trustedProxy.headers=a&trustedProxy.headers=b";
  expect(await send(several)).toMatchObject({
    status: 200,
    json: {
      meta: { appName: "12" },
      batch: { maxRequests: 7 },
      logs: { logIP: true },
      trustedProxy: { headers: ["a", "b"] },
    },
  });
  expect(await send(`@jsonPayload=${encodeURIComponent('{"meta":{"appName":"payload"}}')}`)).toMatchObject({
    json: { meta: { appName: "payload" } },
  });
  expect(await send("meta=x&unknown=1")).toMatchObject({
    status: 200,
    json: { meta: { appName: "payload" } },
  });
  const LOAD = "An error occurred while loading the submitted data.";
  for (const bad of ["batch.maxRequests=abc", "logs.logIP=maybe"]) {
    expect(await send(bad)).toMatchObject({ status: 400, json: { message: LOAD } });
  }
  expect(await send("meta.appName=")).toMatchObject({ status: 400 });
  await send("trustedProxy.headers=&logs.logIP=false&batch.maxRequests=50");
  await root.settings.update({ trustedProxy: { headers: [] } });
});

test("settings that are too long are told so", async () => {
  const answer = await fetch(`${api.url}/api/settings`, {
    method: "PATCH",
    headers: { "content-type": "application/json", authorization: root.authStore.token },
    body: `{"x":"${"x".repeat(limits.requestBodyBytesMax)}"}`,
  });
  expect(answer.status).toBe(413);
});

test("test/s3 refuses in PocketBase's words", async () => {
  const send = async (body: string): Promise<unknown> => {
    const headers = { "content-type": "application/json", authorization: root.authStore.token };
    return (await fetch(`${api.url}/api/settings/test/s3`, { method: "POST", headers, body })).json();
  };
  for (const body of ["{", `{"filesystem":1}`]) {
    expect(await send(body)).toMatchObject({
      message: "An error occurred while loading the submitted data.",
    });
  }
  expect(await send(`{"filesystem":"x"}`)).toMatchObject({
    data: { filesystem: { code: "validation_in_invalid" } },
  });
  expect(await send(`{"filesystem":"backups"}`)).toMatchObject({
    message: "Failed to test the S3 filesystem. Raw error: \nS3 storage filesystem is not enabled.",
  });
  const s3 = {
    enabled: true,
    bucket: "b",
    region: "r",
    endpoint: "https://a.b",
    accessKey: "a",
    secret: "s",
  };
  await root.settings.update({ backups: { s3 } });
  expect(await send(`{"filesystem":"backups"}`)).toMatchObject({
    message: expect.stringContaining(
      "the platform keeps this application's backups in its own object storage",
    ),
  });
});
