/**
 * Many tenants that write at once against a store as far away as S3: `bun test/bench/fleet.ts [tenants] [commits a second] [seconds]`.
 * Every PUT takes a lognormal time of median 35 ms with a long tail, the file store's own time in it; requests are counted by purpose. What is materialised is due after
 * 256 commits of a tenant, so only runs of ten minutes and more show the whole price.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Epoch, type Incarnation, type TenantId, newTenantId } from "../../shared/ids.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { bootstrap } from "../../worker/model/bootstrap.ts";
import { countedStore } from "../../worker/objects/counted.ts";
import { faultyStore } from "../../worker/objects/faults.ts";
import { openObjectStore } from "../../worker/objects/open.ts";
import { SQL_FUNCTIONS } from "../../worker/query/functions.ts";
import { parallel } from "../../worker/replication/parallel.ts";
import type { Tenant } from "../../worker/tenant/contract.ts";
import { createTenantHost } from "../../worker/tenant/host.ts";
import { loneControl } from "./lone-control.ts";

const [tenants = 1_000, perSecond = 1_000, seconds = 30] = process.argv.slice(2).map(Number);
const MEDIAN_MS = 35;
/** p99 of a PUT near 100 ms; one in two hundred takes up to half a second more. */
const SIGMA = 0.45;
const WARM_UP_MS = 3_000;
const TICK_MS = 5;

const directory = mkdtempSync(join(tmpdir(), "bench-fleet-"));
const putMs: number[] = [];
/** What a PUT takes in all, in ms. */
function drawnMs(): number {
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return MEDIAN_MS * Math.exp(SIGMA * normal) + (Math.random() < 1 / 200 ? 500 * Math.random() : 0);
}
let far = false;
const near = await openObjectStore(`file:${join(directory, "store")}`, {});
let nearMs = 0;
const timed: ObjectStore = {
  ...faultyStore(near, () => undefined),
  async putIfAbsent(...put) {
    const startedMs = performance.now();
    const outcome = await near.putIfAbsent(...put);
    nearMs += (performance.now() - startedMs - nearMs) / 16;
    return outcome;
  },
};
const delayed = faultyStore(timed, (operation) =>
  far && (operation === "putIfAbsent" || operation === "put")
    ? { kind: "delay", ms: Math.max(0, drawnMs() - nearMs) }
    : undefined,
);
const store = countedStore({
  ...delayed,
  async putIfAbsent(...put) {
    const startedMs = performance.now();
    const outcome = await delayed.putIfAbsent(...put);
    putMs.push(performance.now() - startedMs);
    return outcome;
  },
});
const incarnation = 1 as Incarnation;
const host = createTenantHost({
  directory: join(directory, "tenants"),
  store,
  incarnation,
  nonce: "a".repeat(32),
  sqlFunctions: SQL_FUNCTIONS,
  control: loneControl(incarnation),
  bootstrap,
  onError: (error) => console.error(error),
});
const open = await parallel(
  Array.from({ length: tenants }, () => newTenantId((n) => crypto.getRandomValues(new Uint8Array(n)))),
  8,
  async (id: TenantId) => {
    const tenant = await host.acquire(id, 1 as Epoch);
    const seen = tenant.observe();
    await tenant.data.write(seen, (tx) =>
      tx.exec("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, created TEXT)"),
    );
    await seen.settled();
    return tenant;
  },
);

let waits: number[] = [];
let failed = 0;
let commits = 0;
async function commit(tenant: Tenant): Promise<void> {
  const startedMs = performance.now();
  try {
    const seen = tenant.observe();
    await tenant.data.write(seen, (tx) =>
      tx.run("INSERT INTO notes (text, created) VALUES (?, ?)", ["hello from a tenant", "2026-01-01"]),
    );
    commits++;
    await seen.settled();
    waits.push(performance.now() - startedMs);
  } catch (error) {
    if (failed++ === 0) console.error(error);
  }
}

const startedMs = performance.now();
let due = 0;
let warm = false;
let cpu = process.cpuUsage();
far = true;
const ended = Promise.withResolvers<void>();
const timer = setInterval(() => {
  const elapsedMs = performance.now() - startedMs;
  if (!warm && elapsedMs > WARM_UP_MS) {
    warm = true;
    waits = [];
    putMs.length = 0;
    commits = 0;
    store.reset();
    cpu = process.cpuUsage();
  }
  if (elapsedMs > WARM_UP_MS + seconds * 1000) return ended.resolve();
  for (; due < (elapsedMs / 1000) * perSecond; due++) void commit(open[due % open.length] as Tenant);
}, TICK_MS);
await ended.promise;
clearInterval(timer);
const { user, system } = process.cpuUsage(cpu);

const percentile = (values: readonly number[], p: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * p))] ?? 0;
const target = (value: number, most: number): string =>
  `${value <= most ? "reached" : "MISSED"} (at most ${most})`;
const [p50, p99] = [percentile(waits, 0.5), percentile(waits, 0.99)];
const logPuts = store.requests({ kind: "put", purpose: "log" }) / seconds;
const others =
  store
    .counts()
    .filter(({ kind, purpose }) => kind !== "delete" && !(kind === "put" && purpose === "log"))
    .reduce((sum, { requests }) => sum + requests, 0) / seconds;
console.log(
  `${tenants} tenants, ${(commits / seconds).toFixed(0)} commits/s for ${seconds} s, ${failed} failed, CPU ${((user + system) / 10_000 / seconds).toFixed(0)} % of a core`,
);
console.log(
  `PUT as the worker sees it p50 ${percentile(putMs, 0.5).toFixed(0)} ms, p99 ${percentile(putMs, 0.99).toFixed(0)} ms (the file store took ${nearMs.toFixed(1)} ms of it)`,
);
console.log(
  `gate p50 ${p50.toFixed(0)} ms: ${target(p50, 70)}, p99 ${p99.toFixed(0)} ms: ${target(p99, 190)}`,
);
console.log(
  `log PUT/s ${logPuts.toFixed(1)}: ${target(logPuts, 30)}, others/s ${others.toFixed(1)}: ${target(others, 10)}`,
);
for (const { kind, purpose, requests, bytesSent } of store.counts()) {
  console.log(`  ${kind} ${purpose}: ${requests}, ${(bytesSent / 1024).toFixed(0)} KB`);
}
host.abandon();
rmSync(directory, { recursive: true, force: true });
process.exit(0);
