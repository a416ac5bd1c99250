import { afterAll, beforeAll, expect, test } from "bun:test";
import PocketBase from "pocketbase";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { modelOf } from "../../model/model.ts";
import { mfaCleanupJob, otpCleanupJob, optimizeJob } from "./built-in.ts";

let api: TestApi;
let root: PocketBase;

beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
});
afterAll(() => api.close());

test("GET /api/crons lists PocketBase's own jobs, the automatic backup when it is set", async () => {
  const own = [
    { id: "__pbDBOptimize__", expression: "0 0 * * *" },
    { id: "__pbMFACleanup__", expression: "0 * * * *" },
    { id: "__pbOTPCleanup__", expression: "0 * * * *" },
    { id: "__pbLogsCleanup__", expression: "0 */6 * * *" },
  ];
  expect(await root.crons.getFullList()).toEqual(own);
  const rules = [{ label: "/api/other", maxRequests: 1000, duration: 10, audience: "" }];
  await root.settings.update({ rateLimits: { enabled: true, rules } });
  const limiter = { id: "__pbRateLimitersCleanup__", expression: "2 * * * *" };
  expect(await root.crons.getFullList()).toEqual([...own, limiter]);
  await root.settings.update({ rateLimits: { enabled: false } });
  await root.settings.update({ backups: { cron: "5 4 * * *", cronMaxKeep: 2 } });
  expect(await root.crons.getFullList()).toContainEqual({ id: "__pbAutoBackup__", expression: "5 4 * * *" });
  await root.settings.update({ backups: { cron: "" } });
  expect((await fetch(`${api.url}/api/crons`)).status).toBe(401);
});

test("POST /api/crons/{id} starts a job, or says that there is none", async () => {
  expect(await root.crons.run("__pbLogsCleanup__")).toBe(true);
  const missing = await root.crons.run("nope").catch((error: unknown) => error);
  expect(missing).toMatchObject({ status: 404, response: { message: "Missing or invalid cron job." } });
  expect((await fetch(`${api.url}/api/crons/__pbLogsCleanup__`, { method: "POST" })).status).toBe(401);
});

test("__pbOTPCleanup__ removes what has expired and nothing else", async () => {
  const { tenant } = api;
  const users = modelOf(tenant).schema.find("users");
  await tenant.data.write(tenant.observe(), (tx) => {
    for (const [id, created] of [
      ["a".repeat(15), "2020-01-01 00:00:00.000Z"],
      ["b".repeat(15), "2999-01-01 00:00:00.000Z"],
    ]) {
      tx.run(
        "INSERT INTO _otps (id, collectionRef, recordRef, password, sentTo, created, updated) VALUES (?1, ?2, 'x', '', '', ?3, ?3)",
        [id ?? "", users?.id ?? "", created ?? ""],
      );
    }
  });
  await otpCleanupJob.run(tenant);
  expect(tenant.data.read(tenant.observe(), (db) => db.values("SELECT id FROM _otps"))).toEqual([
    ["b".repeat(15)],
  ]);
});

test("__pbMFACleanup__ leaves a sign-in that waits for its second step, also where the collection names no time", async () => {
  const { tenant } = api;
  const model = modelOf(tenant);
  const users = model.schema.find("users");
  if (users === undefined) throw new Error("no users");
  await tenant.data.write(tenant.observe(), (tx) => {
    model.updateCollection(tx, users, { mfa: { enabled: false, duration: 0, rule: "" } });
    for (const [id, ageMs] of [
      ["a".repeat(15), 3_600_000],
      ["b".repeat(15), 60_000],
    ] as const) {
      const created = new Date(Date.now() - ageMs).toISOString().replace("T", " ");
      tx.run(
        "INSERT INTO _mfas (id, collectionRef, recordRef, method, created, updated) VALUES (?1, ?2, 'x', 'password', ?3, ?3)",
        [id, users.id, created],
      );
    }
  });
  await mfaCleanupJob.run(tenant);
  expect(tenant.data.read(tenant.observe(), (db) => db.values("SELECT id FROM _mfas"))).toEqual([
    ["b".repeat(15)],
  ]);
});

test("__pbDBOptimize__ leaves the tenant working", async () => {
  await optimizeJob.run(api.tenant);
  expect((await root.collections.getList(1, 1)).totalItems).toBeGreaterThan(0);
});
