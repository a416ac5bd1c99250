import { afterAll, beforeAll, expect, test } from "bun:test";
import { AUXILIARY_DB } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { TestWorld } from "../../tenant/test-world.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { deleteLogsBefore, storeLogs, unpackLogs } from "./packed.ts";
import type { RequestFacts } from "./request-facts.ts";
import { type LogEntry, hasLogs } from "./store.ts";

let world: TestWorld;
let tenant: Tenant;

beforeAll(async () => {
  world = await TestWorld.open();
  const host = world.host({});
  tenant = await world.at(host, world.create(host, "async"));
});
afterAll(() => world.close());

const DAY_MS = 24 * 60 * 60_000;
const START_MS = Date.UTC(2026, 0, 1);

const entries = (count: number, startMs: number, message = "entry"): LogEntry[] =>
  Array.from({ length: count }, (_, index) => ({
    timeMs: startMs + index,
    level: 0,
    message: `${message} ${index}`,
    data: { a: index, nothing: undefined },
  }));

const rows = (): unknown[][] =>
  tenant
    .database(AUXILIARY_DB)
    .read(tenant.observe(), (db) =>
      hasLogs(db) ? db.values("SELECT message, data, created FROM _logs ORDER BY _rowid_") : [],
    );
const batches = (): unknown[][] =>
  tenant
    .database(AUXILIARY_DB)
    .read(tenant.observe(), (db) => db.values("SELECT count, newest FROM _mb_log_batches ORDER BY id"));
const clear = (): Promise<number> => deleteLogsBefore(tenant, tenant.observe(), Number.MAX_SAFE_INTEGER);

test("few entries are rows at once; many wait, and few after them wait with them", async () => {
  await storeLogs(tenant, entries(3, START_MS, "first"));
  expect(rows()).toHaveLength(3);
  const many = limits.logPackEntriesMin;
  await storeLogs(tenant, entries(many, START_MS + 10, "many"));
  await storeLogs(tenant, entries(2, START_MS + 5_000, "last"));
  expect(rows()).toHaveLength(3);
  expect(batches()).toEqual([[many + 2, START_MS + 5_001]]);
  await unpackLogs(tenant);
  expect(batches()).toEqual([]);
  const found = rows();
  expect(found).toHaveLength(many + 5);
  expect(found[3]).toEqual(["many 0", '{"a":0}', "2026-01-01 00:00:00.010Z"]);
  expect(found.at(-1)).toEqual(["last 1", '{"a":1}', "2026-01-01 00:00:05.001Z"]);
  await storeLogs(tenant, entries(1, START_MS + 6_000));
  expect(rows()).toHaveLength(many + 6);
  expect(await clear()).toBe(many + 6);
});

test("requests are the same rows whether they waited or not", async () => {
  const facts = (index: number): RequestFacts => [
    START_MS + index,
    0,
    0.25,
    200,
    "GET",
    "/api/things?filter=name%3D1",
    "",
    "tester",
    "users",
    null,
    "10.0.0.1",
    null,
  ];
  const many = Array.from({ length: limits.logPackEntriesMin }, (_, index) => facts(index));
  await storeLogs(tenant, many.slice(0, 1));
  await storeLogs(tenant, many.slice(1));
  await storeLogs(tenant, many);
  expect(rows()[0]).toEqual([
    "GET /api/things?filter=name=1",
    '{"auth":"users","execTime":0.25,"method":"GET","referer":"","remoteIP":"10.0.0.1","status":200,"type":"request","url":"/api/things?filter=name%3D1","userAgent":"tester"}',
    "2026-01-01 00:00:00.000Z",
  ]);
  expect(batches()).toEqual([[many.length, START_MS + many.length - 1]]);
  await unpackLogs(tenant);
  const found = rows();
  expect(found[many.length]).toEqual(found[0] ?? []);
  await clear();
});

test("a batch is as new as its newest entry, whenever that came", async () => {
  const many = limits.logPackEntriesMin;
  await storeLogs(tenant, entries(many, START_MS + DAY_MS));
  await storeLogs(tenant, entries(1, START_MS));
  expect(batches()).toEqual([[many + 1, START_MS + DAY_MS + many - 1]]);
  await clear();
});

test("when many wait, the oldest become rows once few come; when too many do, at once", async () => {
  const full = entries(limits.logBatchEntriesMax, START_MS);
  for (let count = 0; count <= limits.logPackedEntriesCalm; count += full.length) {
    await storeLogs(tenant, full);
  }
  await storeLogs(tenant, full);
  expect(rows()).toHaveLength(0);
  await storeLogs(tenant, entries(1, START_MS));
  expect(rows()).toHaveLength(full.length);
  await clear();
  await storeLogs(tenant, full);
  await tenant.database(AUXILIARY_DB).write(tenant.observe(), (tx) => {
    tx.run("UPDATE _mb_log_batches SET count = ?", [limits.logPackedEntriesMax - full.length]);
  });
  // They are counted again.
  expect(await deleteLogsBefore(tenant, tenant.observe(), 0)).toBe(0);
  await storeLogs(tenant, full);
  await storeLogs(tenant, full);
  expect(rows()).toHaveLength(0);
  await storeLogs(tenant, full);
  expect(rows()).toHaveLength(full.length);
  await clear();
});

test("a batch is full some time", async () => {
  const full = limits.logBatchEntriesMax;
  await storeLogs(tenant, entries(full - 1, START_MS));
  await storeLogs(tenant, entries(2, START_MS));
  expect(batches().map(([count]) => count)).toEqual([full - 1, 2]);
  expect(await clear()).toBe(full + 1);
});

test("retention drops batches as they are, with the rows of that time", async () => {
  await storeLogs(tenant, entries(5, START_MS));
  await storeLogs(tenant, entries(limits.logBatchEntriesMax, START_MS + DAY_MS));
  await storeLogs(tenant, entries(limits.logPackEntriesMin, START_MS + 2 * DAY_MS));
  const before = START_MS + DAY_MS + limits.logBatchEntriesMax;
  expect(await deleteLogsBefore(tenant, tenant.observe(), before)).toBe(5 + limits.logBatchEntriesMax);
  expect(await deleteLogsBefore(tenant, tenant.observe(), before)).toBe(0);
  await unpackLogs(tenant);
  expect(rows()).toHaveLength(limits.logPackEntriesMin);
  await clear();
});

test("a batch that cannot be read costs no other", async () => {
  await storeLogs(tenant, entries(limits.logBatchEntriesMax, START_MS));
  await storeLogs(tenant, entries(limits.logPackEntriesMin, START_MS));
  await tenant
    .database(AUXILIARY_DB)
    .write(tenant.observe(), (tx) => tx.run("UPDATE _mb_log_batches SET entries = x'00' WHERE id = 1"));
  await unpackLogs(tenant);
  expect(rows()).toHaveLength(limits.logPackEntriesMin);
  await clear();
});
