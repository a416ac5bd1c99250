/**
 * What tenants cost that are open: `bun test/bench/open-tenants.ts [count] [seconds]`. Each has 20 collections beside its own and comes
 * from a file store, as an evicted one does. Prints memory and descriptors of one against those of a bare connection to the same
 * file, how long an opening takes, timers and requests in so many seconds of idleness, and what a request adds.
 */
import { Database } from "bun:sqlite";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_DB, type TenantId, newTenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { tenantPrefix } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import { createTenantApp } from "../../worker/app.ts";
import { leave } from "../../worker/http/leave.ts";
import { bootstrap } from "../../worker/model/bootstrap.ts";
import { modelOf } from "../../worker/model/model.ts";
import { countedStore } from "../../worker/objects/counted.ts";
import { objectPath } from "../../worker/objects/file/names.ts";
import { SQL_FUNCTIONS } from "../../worker/query/functions.ts";
import { type Clock, systemClock } from "../../worker/replication/clock.ts";
import { parallel } from "../../worker/replication/parallel.ts";
import type { Tenant } from "../../worker/tenant/contract.ts";
import { copyDatabase } from "../../worker/tenant/copy.ts";
import { descriptorLimit } from "../../worker/tenant/descriptors.ts";
import { TestWorld } from "../../worker/tenant/test-world.ts";

const COLLECTIONS = 20;
const USED = 300;
/** More would show the same, and need three descriptors each. */
const BARE = 2_000;

async function rss(): Promise<number> {
  for (let round = 0; round < 4; round++) {
    Bun.gc(true);
    await Bun.sleep(150);
  }
  return process.memoryUsage.rss();
}

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

const kilobytes = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KB`;
const verdict = (reached: boolean, goal: string): string => `${reached ? "reached" : "MISSED"} (${goal})`;

/** In a process of its own: so many connections to copies of one database, each with its WAL and the schema read. */
async function bare(template: string, count: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "bench-bare-"));
  const connections: Database[] = [];
  const open = (name: string): void => {
    copyFileSync(template, join(directory, name));
    const db = new Database(join(directory, name), { readwrite: true });
    db.run("PRAGMA journal_mode=WAL");
    db.run("SELECT count(*) FROM sqlite_schema");
    connections.push(db);
  };
  open("first");
  const [before, held] = [await rss(), descriptors()];
  for (let index = 0; index < count; index++) open(`${index}`);
  console.log(((await rss()) - before) / count, (descriptors() - held) / count);
  rmSync(directory, { recursive: true, force: true });
}

/** Counts what waits. */
function countingClock(): { clock: Clock; waiting: () => number } {
  let timers = 0;
  const clock: Clock = {
    ...systemClock,
    after(delayMs, run) {
      timers++;
      let open = true;
      const end = (): void => {
        if (open) timers--;
        open = false;
      };
      const cancel = systemClock.after(delayMs, () => {
        end();
        run();
      });
      return () => {
        end();
        cancel();
      };
    },
  };
  return { clock, waiting: () => timers };
}

const app = createTenantApp();

async function call(tenant: Tenant, path: string, body?: object): Promise<void> {
  const origin = "http://bench.example.com";
  const init =
    body === undefined
      ? {}
      : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const request = new Request(`${origin}${path}`, init);
  const context = {
    ...{ request, tenant, origin },
    ...{ seen: tenant.observe(), clientIp: "127.0.0.1", requestId: "bench" },
  };
  const response = await leave(context, await app(context));
  const text = await response.text();
  if (response.status !== 200) throw new Error(text);
}

const records = (index: number): string => `/api/collections/things${index}/records`;

async function fill(tenant: Tenant): Promise<void> {
  const collection = (index: number): Record<string, unknown> => ({
    name: `things${index}`,
    type: "base",
    listRule: "",
    viewRule: "done = true || @request.auth.id != ''",
    createRule: "",
    updateRule: "owner = @request.auth.id",
    indexes: [`CREATE INDEX idx_things${index} ON things${index} (title)`],
    fields: [
      { name: "title", type: "text", required: true, max: 200 },
      { name: "views", type: "number" },
      { name: "done", type: "bool" },
      { name: "owner", type: "relation", collectionId: "_pb_users_auth_", maxSelect: 1 },
      { name: "kind", type: "select", values: ["a", "b", "c"], maxSelect: 1 },
      { name: "doc", type: "file", maxSelect: 1 },
      { name: "data", type: "json" },
      { name: "created", type: "autodate", onCreate: true },
      { name: "updated", type: "autodate", onCreate: true, onUpdate: true },
    ],
  });
  await tenant.data.write(tenant.observe(), (tx) => {
    for (let index = 0; index < COLLECTIONS; index++) modelOf(tenant).createCollection(tx, collection(index));
  });
  for (let index = 0; index < COLLECTIONS; index++) {
    for (let row = 0; row < 3; row++)
      await call(tenant, records(index), { title: `title ${row}`, views: row });
  }
}

async function bench(wanted: number, idleSeconds: number): Promise<void> {
  const world = await TestWorld.open();
  const store = countedStore(world.store);
  const { clock, waiting } = countingClock();
  const host = world.host({ bootstrap, sqlFunctions: SQL_FUNCTIONS, clock, store });
  const most = host.metrics()["tenants_max"] ?? 0;
  const count = Math.min(wanted, most - 1);
  const limit = descriptorLimit() ?? Infinity;

  const template = world.create(host);
  const original = await world.at(host, template);
  await fill(original);
  const { signal } = new AbortController();
  const image = await copyDatabase(original, original.observe(), DATA_DB, world.directory, { signal });
  const bareBytes = await bareAgainst(image ?? "", Math.min(count, BARE, Math.floor((limit - 200) / 3)));
  world.give(template, await host.release(template), host);
  const ids = await copies(world, template, count);
  await call(await world.at(host, template), records(0));

  const [before, held] = [await rss(), descriptors()];
  const openMs: number[] = [];
  const startedMs = performance.now();
  const open = (id: TenantId): Promise<Tenant> => world.at(host, id);
  const quarter = Math.ceil(count / 4);
  for (let from = 0; from < count; from += quarter) {
    await parallel(ids.slice(from, from + quarter), 4, async (id) => {
      const atMs = performance.now();
      await open(id);
      openMs.push(performance.now() - atMs);
    });
    const opened = openMs.length;
    const grown = (await rss()) - before;
    console.log(
      `${opened} open: RSS ${((before + grown) / 2 ** 20).toFixed(0)} MB, ${kilobytes(grown / opened)} (${(grown / opened / bareBytes).toFixed(2)} times a bare connection's) and ` +
        `${((descriptors() - held) / opened).toFixed(2)} descriptors a tenant, ${descriptors()} of ${limit} in all, ` +
        `${host.metrics()["writers_awake"]} awake`,
    );
  }
  const perSecond = count / ((performance.now() - startedMs) / 1000);
  const whole = await rss();
  console.log(
    `${count} tenants with ${COLLECTIONS} collections: ${(whole / 2 ** 30).toFixed(2)} GB, ${verdict(whole < 4 * 2 ** 30, "under 4 GB")}`,
  );
  console.log(
    `opening four at a time: ${perSecond.toFixed(0)} a second, p50 ${median(openMs).toFixed(1)} ms each`,
  );

  const timers = waiting();
  store.reset();
  const cpu = process.cpuUsage();
  await Bun.sleep(idleSeconds * 1000);
  const { user, system } = process.cpuUsage(cpu);
  console.log(
    `${idleSeconds} s of idleness: ${store.requests()} requests, ${timers} timers before and ${waiting()} after for all together, ` +
      `CPU ${((user + system) / 10_000 / idleSeconds).toFixed(1)} %`,
  );

  await used(ids.slice(0, USED), open);
  const reopened: number[] = [];
  for (const id of ids.slice(0, USED)) {
    world.give(id, await host.release(id), host);
    const atMs = performance.now();
    await open(id);
    reopened.push(performance.now() - atMs);
  }
  console.log(
    `opening an evicted one: p50 ${median(reopened).toFixed(1)} ms, ${verdict(median(reopened) < 10, "under 10 ms")}`,
  );
  world.close();
}

/** Those opened first are at rest by now, if any are. */
async function used(ids: readonly TenantId[], open: (id: TenantId) => Promise<Tenant>): Promise<void> {
  const before = await rss();
  const each = async (paths: readonly string[]): Promise<{ bytes: number; firstMs: number }> => {
    const firstMs: number[] = [];
    for (const [index, id] of ids.entries()) {
      const tenant = await open(id);
      const atMs = performance.now();
      await call(tenant, paths[0] ?? "");
      firstMs.push(performance.now() - atMs);
      for (const path of paths.slice(1)) await call(tenant, path);
      // As it happens by itself where requests come over time.
      if (index % 32 === 0) Bun.gc(true);
    }
    await Bun.sleep(limits.logFlushMs * 1.5);
    return { bytes: ((await rss()) - before) / ids.length, firstMs: median(firstMs) };
  };
  const one = await each([records(0)]);
  const all = await each(Array.from({ length: COLLECTIONS }, (_, index) => records(index)));
  console.log(
    `a list adds ${kilobytes(one.bytes)} (p50 ${one.firstMs.toFixed(1)} ms for the first), lists of all collections ` +
      `${kilobytes(all.bytes)}: page caches, statements and other databases, all bounded per process`,
  );
}

/** @returns bytes of each */
async function bareAgainst(image: string, count: number): Promise<number> {
  const child = Bun.spawn([process.execPath, import.meta.path, "bare", image, `${count}`], {
    stdout: "pipe",
  });
  const [bytes = 0, held = 0] = (await new Response(child.stdout).text()).split(" ").map(Number);
  console.log(
    `${count} bare connections to the same file: ${kilobytes(bytes)} and ${held.toFixed(2)} descriptors each`,
  );
  return bytes;
}

/** As files: through the store each would be forced to the disk. */
async function copies(world: TestWorld, template: TenantId, count: number): Promise<TenantId[]> {
  const root = join(world.store.description.slice("file:".length), "objects");
  const keys: string[] = [];
  for await (const { key } of listAll(world.store, { prefix: tenantPrefix(template) })) keys.push(key);
  return Array.from({ length: count }, () => {
    const id = newTenantId((n) => crypto.getRandomValues(new Uint8Array(n)));
    for (const key of keys) {
      const { directory, path } = objectPath(root, key.replace(template, id));
      mkdirSync(directory, { recursive: true });
      copyFileSync(objectPath(root, key).path, path);
    }
    world.tenants.set(id, { ...world.known(template) });
    return id;
  });
}

const [first, ...rest] = process.argv.slice(2);
if (first === "bare") await bare(rest[0] ?? "", Number(rest[1]));
else await bench(Number(first ?? limits.tenantsOpenMax), Number(rest[0] ?? 60));
process.exit(0);
