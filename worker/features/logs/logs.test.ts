import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import PocketBase, { type ClientResponseError } from "pocketbase";
import { AUXILIARY_DB } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { logsCleanupJob } from "./cleanup-job.ts";
import { LogQueue, logQueueOf } from "./log-queue.ts";
import { deleteLogsBefore, storeLogs } from "../../pb/logs/packed.ts";

let api: TestApi;
let root: PocketBase;

beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
});
afterAll(() => api.close());

async function newest(filter: string): Promise<Record<string, unknown>> {
  const { items } = await root.logs.getList(1, 1, { filter, sort: "-@rowid" });
  return items[0] as unknown as Record<string, unknown>;
}

describe("request logs", () => {
  test("hold what was asked, by whom, and how it went", async () => {
    await fetch(`${api.url}/api/collections?filter=name%3D1`, {
      headers: {
        authorization: root.authStore.token,
        referer: "http://from.example/",
        "user-agent": "tester",
      },
    });
    const log = await newest("data.userAgent = 'tester'");
    expect(Object.keys(log)).toEqual(["id", "created", "data", "message", "level"]);
    expect(log).toMatchObject({ level: 0, message: "GET /api/collections?filter=name=1" });
    expect(log["created"]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z$/);
    const data = log["data"] as Record<string, unknown>;
    expect(Object.keys(data)).toEqual(Object.keys(data).toSorted());
    const ms = Number(data["execTime"]);
    expect(ms).toBe(Math.round(ms * 1e6) / 1e6);
    expect(data).toMatchObject({
      type: "request",
      url: "/api/collections?filter=name%3D1",
      method: "GET",
      status: 200,
      referer: "http://from.example/",
      auth: "_superusers",
      userIP: "127.0.0.1",
      remoteIP: "127.0.0.1",
    });
    expect(data["authId"]).toBeUndefined();
    expect((await root.logs.getOne(String(log["id"]))).message).toBe(String(log["message"]));
  });

  test("of failures are errors and say why", async () => {
    await fetch(`${api.url}/api/settings`, { headers: { "user-agent": "guest" } });
    expect(await newest("data.userAgent = 'guest'")).toMatchObject({
      level: 8,
      message: "GET /api/settings",
      data: {
        status: 401,
        auth: "",
        error: "The request requires valid record authorization token.",
        details: null,
      },
    });
    const post = (path: string, body: unknown): Promise<Response> =>
      fetch(api.url + path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    const superusers = "/api/collections/_superusers";
    const details = async (url: string): Promise<unknown> =>
      ((await newest(`data.url = '${url}'`))["data"] as { details: unknown }).details;
    // The library's own texts are no sentences; PocketBase's are as the client reads them.
    await post(`${superusers}/auth-with-password?a`, { password: "x".repeat(256) });
    expect(await details(`${superusers}/auth-with-password?a`)).toEqual({
      identity: "cannot be blank",
      password: "the length must be between 1 and 255",
    });
    await post(`${superusers}/confirm-password-reset?a`, { token: "x", password: "y".repeat(9) });
    expect(await details(`${superusers}/confirm-password-reset?a`)).toEqual({
      passwordConfirm: "cannot be blank",
      token: "Invalid or expired token.",
    });
    await post(`${superusers}/auth-with-password?b`, { identity: "nobody", password: "x" });
    expect(await details(`${superusers}/auth-with-password?b`)).toBe("invalid login credentials");
    await post("/api/collections/missing/auth-with-password", {});
    expect(await details("/api/collections/missing/auth-with-password")).toBe("sql: no rows in result set");
    await fetch(`${api.url}/api/collections/users/auth-with-password?c`, { method: "HEAD" });
    expect(await newest("data.method = 'HEAD'")).toMatchObject({ level: 8, data: { status: 404 } });
    // What must not be told to whoever asks is told here.
    await post("/api/collections/users/request-password-reset", { email: "nobody@example.com" });
    expect(await newest("data.url ~ '/request-password-reset'")).toMatchObject({
      level: 8,
      data: {
        status: 204,
        error: "failed to fetch users record with email nobody@example.com: sql: no rows in result set",
      },
    });
    await fetch(`${api.url}/nowhere`);
    expect(await newest("data.url = '/nowhere'")).toMatchObject({ level: 8, data: { status: 404 } });
  });

  test("name who asked, also when the request ended the token", async () => {
    const email = "short-lived@example.com";
    const own = { password: "12345678", passwordConfirm: "12345678" };
    const { id } = await root.collection("users").create({ email, ...own });
    const user = new PocketBase(api.url);
    await user.collection("users").authWithPassword(email, own.password);
    await user.collection("users").update(id, { oldPassword: own.password, ...own });
    expect((await newest(`data.url = '/api/collections/users/records/${id}'`))["data"]).toMatchObject({
      auth: "users",
    });
  });

  test("leave out what the settings leave out", async () => {
    await root.settings.update({ logs: { logIP: false, logAuthId: true } });
    await root.health.check({ headers: { "User-Agent": "no address" } });
    const { data } = (await newest("data.userAgent = 'no address'")) as { data: Record<string, unknown> };
    expect(Object.keys(data)).not.toContain("userIP");
    expect(Object.keys(data)).not.toContain("remoteIP");
    expect(data["authId"]).toBe(root.authStore.record?.id);
    await root.settings.update({ logs: { minLevel: 4 } });
    await root.health.check({ headers: { "User-Agent": "too low" } });
    expect(await newest("data.userAgent = 'too low'")).toBeUndefined();
    await root.settings.update({ logs: { minLevel: 0, maxDays: 0 } });
    await root.health.check({ headers: { "User-Agent": "no days" } });
    expect(await newest("data.userAgent = 'no days'")).toBeUndefined();
    await root.settings.update({ logs: { maxDays: 5 } });
  });

  test("tell the client from the proxy, cut what is long, and keep what no text is", async () => {
    await root.settings.update({ logs: { logIP: true }, trustedProxy: { headers: ["x-client"] } });
    const long = "x".repeat(limits.logHeaderCharactersMax + 1);
    const headers = { "user-agent": `by proxy ${long}`, referer: long, "x-client": "10.1.2.3" };
    await fetch(`${api.url}/api/health?a=%zz&b=${"y".repeat(limits.logUrlCharactersMax)}`, { headers });
    const log = await newest("data.userAgent ~ 'by proxy'");
    const url = `/api/health?a=%zz&b=${"y".repeat(limits.logUrlCharactersMax)}`;
    const shown = `${url.slice(0, limits.logUrlCharactersMax)}...`;
    expect(log).toMatchObject({
      message: `GET ${shown}`,
      data: {
        url: shown,
        referer: `${long.slice(1)}...`,
        userAgent: `by proxy ${long}`.slice(0, limits.logHeaderCharactersMax) + "...",
        userIP: "10.1.2.3",
        remoteIP: "127.0.0.1",
      },
    });
    await root.settings.update({ trustedProxy: { headers: [] } });
  });

  test("are listed by filter, sort and page, and not noted themselves", async () => {
    const all = await root.logs.getList(1, 2, { sort: "-created", filter: "level >= 0" });
    expect(all).toMatchObject({ page: 1, perPage: 2 });
    expect(all.totalItems).toBeGreaterThan(2);
    expect((await root.logs.getList(1, 1, { filter: "message ~ '/api/logs'" })).totalItems).toBe(0);
    const bad = root.logs.getList(1, 1, { filter: "nope = 1" });
    expect((await bad.catch((error: unknown) => error)) as { status: number }).toMatchObject({ status: 400 });
    expect((await fetch(`${api.url}/api/logs`)).status).toBe(401);
    const headers = { authorization: root.authStore.token };
    for (const query of ["skipTotal=yes", "page=a", "sort=data:length"]) {
      expect([query, (await fetch(`${api.url}/api/logs?${query}`, { headers })).status]).toEqual([
        query,
        400,
      ]);
    }
  });

  test("stats count by the hour", async () => {
    const hour = Date.parse("2022-05-01T10:00:00Z");
    const entry = (timeMs: number) => ({ timeMs, level: 0, message: "old", data: {} });
    await storeLogs(api.tenant, [entry(hour + 1), entry(hour + 3_599_999), entry(hour + 3_600_000)]);
    expect(await root.logs.getStats({ filter: "message = 'old'" })).toEqual([
      { date: "2022-05-01 10:00:00.000Z", total: 2 },
      { date: "2022-05-01 11:00:00.000Z", total: 1 },
    ]);
    expect(await deleteLogsBefore(api.tenant, api.tenant.observe(), hour + 3_599_999)).toBe(2);
    expect(await deleteLogsBefore(api.tenant, api.tenant.observe(), hour + 3_599_999)).toBe(0);
    expect(await root.logs.getStats({ filter: "message = 'old'" })).toHaveLength(1);
    const bad = await root.logs.getStats({ filter: "(" }).catch((error: unknown) => error);
    expect(bad).toMatchObject({ status: 400, response: { message: "Invalid filter format." } });
  });
});

test("logs are filtered by what is theirs", async () => {
  for (const filter of [
    "@request.auth.id = ''",
    "level:lower = 1",
    "data:length = 1",
    "(level = 1 || id:isset = 2)",
  ]) {
    for (const ask of [() => root.logs.getList(1, 1, { filter }), () => root.logs.getStats({ filter })]) {
      expect(await ask().catch((error: ClientResponseError) => error.status)).toBe(400);
    }
  }
  expect(
    (await root.logs.getList(1, 1, { filter: "data.auth:lower = 'x' && created < @now" })).items,
  ).toEqual([]);
});

test("LogQueue drops what is too much, and says how much", async () => {
  const queue = new LogQueue(api.tenant, 60_000);
  const entry = () => ({ timeMs: Date.now(), level: 0, message: "flood", data: {} });
  for (let count = 0; count < limits.logQueueEntriesMax + 7; count++) queue.add(entry);
  await queue.settle();
  const counts = api.tenant.database(AUXILIARY_DB).read(api.tenant.observe(), (db) => ({
    flood: db.values("SELECT count(*) FROM _logs WHERE message = 'flood'")[0]?.[0],
    told: db.values("SELECT count(*) FROM _logs WHERE message = '7 log entries were dropped'")[0]?.[0],
  }));
  expect(counts).toEqual({ flood: limits.logQueueEntriesMax, told: 1 });
});

test("a broken entry costs nobody an answer, and no other entry", async () => {
  logQueueOf(api.tenant).add(() => Promise.reject(new Error("broken")));
  logQueueOf(api.tenant).add(() => ({ timeMs: Date.now(), level: 0, message: "beside it", data: {} }));
  expect((await root.logs.getList(1, 1, { filter: "message = 'beside it'" })).totalItems).toBe(1);
});

test("__pbLogsCleanup__ keeps as many days as the settings say", async () => {
  const dayMs = 24 * 3_600_000;
  const at = (days: number) => {
    return { timeMs: Date.now() - days * dayMs, level: 0, message: `${days} days`, data: {} };
  };
  await root.settings.update({ logs: { maxDays: 3 } });
  await storeLogs(api.tenant, [at(4), at(2)]);
  await logsCleanupJob.run(api.tenant);
  const { items } = await root.logs.getList(1, 10, { filter: "message ~ '% days'" });
  expect(items.map(({ message }) => message)).toEqual(["2 days"]);
});
