import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../../../shared/limits.ts";
import {
  DATA_DB,
  type Epoch,
  type Incarnation,
  type LogSeq,
  type TenantId,
  type Txid,
} from "../../../shared/ids.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import {
  bundleKey,
  condemnedKey,
  dataKeyKey,
  logKey,
  lostPrefix,
  ltxPrefix,
} from "../../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../../shared/objects/read.ts";
import { type TestWorld, newNonce, notes, putNote } from "../../../worker/tenant/test-world.ts";
import { acceptLoss } from "./accept-loss.ts";
import { checkTenants } from "./check-tenants.ts";
import { type Held, type History, copyWorld, held, keysByAge, writeHistory } from "./loss-fixture.ts";
import type { LossReport } from "./loss-report.ts";
import { restoreControl } from "./restore.ts";
import { intoDirectory } from "./restore-target.ts";
import { type Survey, survey } from "./survey.ts";

const SEEDS = Number(process.env["LOSS_SEEDS"] ?? 24);
const AT = { snapshot: undefined, key: undefined, at: "2026-02-01T00:00:00.000Z", atMs: 0 };
const { signal: never } = new AbortController();

let history: History;
beforeAll(async () => {
  history = await writeHistory();
}, 60_000);
afterAll(() => history.close());

/** mulberry32 */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Removes some of the newest objects; now and then also what a tenant begins with. */
async function lose(world: TestWorld, random: () => number, beginning: boolean): Promise<void> {
  const keys = await keysByAge(world);
  const newest = keys.slice(-Math.ceil(random() ** 2 * keys.length * 0.9));
  const share = 0.05 + random() * 0.5;
  const gone = newest.filter((key) => !key.includes("/keys/") && random() < share);
  if (beginning) {
    const [id] = [...history.notes.keys()].slice(-1);
    const begins = [`tenants/${id}/litestream/data.db/0009/`, `tenants/${id}/flushes/`];
    gone.push(...keys.filter((key) => begins.some((prefix) => key.startsWith(prefix))));
    for (let seq = 1 as LogSeq; seq <= 12; seq++) gone.push(logKey(1 as Incarnation, seq));
  }
  // Some record of each tenant is left; what happens without any is tested elsewhere.
  await world.store.delete(gone.filter((key) => !key.endsWith("-0000000000000001.json")));
}

/** The store until its `mutations`-th change, which the process does not survive. */
function killed(store: ObjectStore, mutations: number): { store: ObjectStore; signal: AbortSignal } {
  const abort = new AbortController();
  let left = mutations;
  const step = async (): Promise<void> => {
    await Promise.resolve();
    if (left-- === 0) abort.abort(new Error("killed"));
    abort.signal.throwIfAborted();
  };
  const { signal } = abort;
  const dying: ObjectStore = {
    ...{ kind: store.kind, description: store.description, close: () => store.close() },
    get: (key, options) => store.get(key, options),
    range: (key, range, options) => store.range(key, range, options),
    head: (key, options) => store.head(key, options),
    list: (options) => store.list(options),
    thaw: (key, days, options) => store.thaw(key, days, options),
    putIfAbsent: (...args) => step().then(() => store.putIfAbsent(...args)),
    put: (...args) => step().then(() => store.put(...args)),
    delete: (...args) => step().then(() => store.delete(...args)),
    copy: (...args) => step().then(() => store.copy(...args)),
  };
  return { store: dying, signal };
}

async function repair(store: ObjectStore, signal = never): Promise<void> {
  const found = await survey(store, AT, signal);
  if (found.problems.length > 0) await acceptLoss(store, { ...found, at: AT.at }, signal);
}

async function contentOf(store: ObjectStore): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for await (const { key } of listAll(store, { prefix: "" })) {
    const bytes = await getBytes(store, key);
    content.set(key, Bun.hash(bytes ?? new Uint8Array()).toString());
  }
  return content;
}

/** As far as anything leads, found in the plainest way. */
function reachable({ files, changes }: Held, encrypted: boolean): number {
  let reached = Math.max(0, ...files.filter(([min]) => min === 1).map(([, max]) => max));
  let inLog = false;
  for (let before = -1; before !== reached;) {
    before = reached;
    for (const [min, max] of files)
      if (!(encrypted && inLog) && min <= reached + 1) reached = Math.max(reached, max);
    if (before !== reached) continue;
    if (changes.has(reached + 1)) {
      reached++;
      inLog = true;
    }
  }
  return reached;
}

/** Loads every tenant from what the repaired store and the new state say, goes on writing, and loads it again. */
async function goesOn(world: TestWorld, found: Survey, ends: Map<TenantId, number>): Promise<void> {
  const { keyProvider } = history;
  const number = (found.block + 1) * limits.incarnationsPerBlock;
  const incarnation = (number + 1) as Incarnation;
  const host = world.host({ incarnation, keyProvider });
  const after = new Map<TenantId, string[]>();
  for (const { id, suspended, epoch, base, tails, virgin, encrypted } of found.rebuilt.tenants) {
    const end = ends.get(id) ?? 0;
    expect({ id, suspended }).toEqual({ id, suspended: end === 0 });
    if (suspended) continue;
    const known = { incarnation, base, tails, virgin, durability: "durable" as const, epoch: epoch + 1 };
    world.tenants.set(id, { ...known, ...(encrypted === true ? { encrypted } : {}) });
    const all = history.notes.get(id) ?? [];
    const here = await world.at(host, id);
    expect(notes(here)).toEqual(all.slice(0, end));
    // As many as were lost, and more: under the TXIDs that were used before.
    for (let i = end; i < all.length + 2; i++) await putNote(here, `again ${i}`);
    after.set(id, notes(here));
  }
  for (const { tenant, base } of (await host.stop()).released) {
    Object.assign(world.known(tenant), { base, tails: [], incarnation: number + 2 });
    world.known(tenant).epoch++;
  }
  const next = world.host({ incarnation: (number + 2) as Incarnation, keyProvider });
  for (const [id, texts] of after) expect(notes(await world.at(next, id))).toEqual(texts);
  expect(world.errors).toEqual([]);
  next.abandon();
}

const counters = { damaged: 0, lost: 0, gone: 0, killed: 0, rescued: 0, moved: 0, holes: 0, filled: 0 };

describe("acceptLoss", () => {
  test.each(Array.from({ length: SEEDS }, (_, seed) => seed))("seed %i", async (seed) => {
    const random = seeded(seed + 1);
    const world = await copyWorld(history.world);
    try {
      await lose(world, random, seed % 6 === 5);
      const { store } = world;
      const ends = new Map<TenantId, number>();
      const before = await held(store, history.notes.keys());
      for (const [id, pieces] of before) ends.set(id, reachable(pieces, id === history.encrypted));
      const content = await contentOf(store);
      for (let mutations = 8 + Math.floor(random() * 40); seed % 2 === 1;) {
        const dying = killed(store, mutations);
        await repair(dying.store, dying.signal).catch((error: unknown) => {
          if (!dying.signal.aborted) throw error;
        });
        if (!dying.signal.aborted) break;
        counters.killed++;
        mutations += 25;
      }
      await repair(store);
      const found = await survey(store, AT, never);
      expect(found.problems.map(({ message }) => message)).toEqual([]);
      expect(await checkTenants(store, found.loadable, found.contents, never)).toEqual([]);

      // Nothing was deleted.
      const now = new Set((await contentOf(store)).values());
      for (const [key, hash] of content) expect({ key, kept: now.has(hash) }).toEqual({ key, kept: true });

      const all = await everyReport(store);
      for (const [id, { files, changes, bundles }] of before) {
        const told = all.flatMap(({ tenants }) => tenants).find(({ tenant }) => tenant === id);
        const last = Math.max(0, ...files.map(([, to]) => to), ...bundles.map(([, to]) => to), ...changes);
        const end = ends.get(id) ?? 0;
        if (last > end) expect({ id, told: told !== undefined }).toEqual({ id, told: true });
        const database = told?.databases.find((one) => one.database === DATA_DB);
        if (database === undefined) continue;
        counters.lost++;
        expect(database).toMatchObject({ keptTxid: end, lost: { from: end + 1 } });
        expect(database.lost.to).toBeGreaterThanOrEqual(last);
        expect(database.lost.to).toBeLessThanOrEqual(history.notes.get(id)?.length ?? 0);
        const has = (txid: number): boolean =>
          changes.has(txid) || [...files, ...bundles].some(([from, to]) => from <= txid && txid <= to);
        for (let txid = end + 1; txid <= database.lost.to; txid++) {
          const missing = database.lost.missing.some(([from, to]) => from <= txid && txid <= to);
          expect({ id, txid, missing }).toEqual({ id, txid, missing: !has(txid) });
        }
      }
      await goesOn(world, found, ends);
      if (all.length > 0) counters.damaged++;
      for (const { rescue, tenants, logs } of all) {
        counters.rescued += rescue?.entries ?? 0;
        counters.moved += tenants.reduce((sum, { moved }) => sum + moved.length, 0);
        counters.gone += tenants.filter(({ state }) => state === "gone").length;
        counters.filled += tenants.filter(({ state }) => state === "whole").length;
        counters.holes += logs.filter(({ missing }) => missing.length > 0).length;
      }
    } finally {
      world.close();
    }
  });

  test("the seeds met everything", () => {
    console.log(JSON.stringify(counters));
    for (const [name, count] of Object.entries(counters)) {
      expect({ name, met: count > 0 }).toEqual({ name, met: true });
    }
  });

  test("an undamaged store stays as it is; a damaged one is refused without the flag, which is named", async () => {
    const world = await copyWorld(history.world);
    const data = mkdtempSync(join(tmpdir(), "accept-loss-"));
    const target = intoDirectory(data, "1");
    const options = { store: world.store, target, signal: never, nowMs: 0 };
    try {
      const before = [...(await contentOf(world.store)).keys()];
      expect((await restoreControl({ ...options, acceptLoss: true })).loss).toBeUndefined();
      const added = [...(await contentOf(world.store)).keys()].filter((key) => !before.includes(key));
      expect(added.filter((key) => !key.includes("/log/") && !key.startsWith("control/blocks/"))).toEqual([]);
      rmSync(join(data, "control"), { recursive: true });
      const slot = before.find((key) => key.endsWith("000c.wlog")) ?? "";
      await world.store.delete([slot]);
      const refusal = await restoreControl(options).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ hint: expect.stringContaining("--accept-loss") });
      const { loss } = await restoreControl({ ...options, acceptLoss: true });
      expect(loss?.key).toMatch(/^control\/restores\/[0-9a-f]{8}\.json$/);
      for (const { tenant, moved } of loss?.tenants ?? []) {
        for (const key of moved) {
          expect(await world.store.head(key)).toBeUndefined();
          const away = key.replace(`tenants/${tenant}/`, lostPrefix(tenant, loss?.block ?? 0));
          expect((await world.store.head(away)) ?? (await world.store.head(`${away}e`))).toBeDefined();
        }
      }
    } finally {
      world.close();
      rmSync(data, { recursive: true, force: true });
    }
  });
});

describe("acceptLoss, one tenant", () => {
  const [first, other] = [0, 1].map((i) => () => [...history.notes.keys()][i] as TenantId) as [
    () => TenantId,
    () => TenantId,
  ];

  test("an announced deletion of files that are needed, since what replaced them is missing, is taken back", async () => {
    const world = await copyWorld(history.world);
    try {
      const { store } = world;
      const id = other();
      const files = await Array.fromAsync(listAll(store, { prefix: ltxPrefix(id, DATA_DB) }));
      const keys = files.map(({ key }) => key).filter((key) => key.includes("/0001/"));
      const record = condemnedKey(id, 1 as Epoch, newNonce());
      await store.put(record, new TextEncoder().encode(JSON.stringify({ keys })));
      const found = await survey(store, AT, never);
      expect(found.problems).toMatchObject([{ message: expect.stringContaining("were to be deleted") }]);
      await repair(store);
      expect((await survey(store, AT, never)).problems).toEqual([]);
      expect(await store.head(record)).toBeUndefined();
      for (const key of keys) expect(await store.head(key)).toBeDefined();
      // One that names nothing of use is none of our business.
      const useless = { keys: [bundleKey(id, DATA_DB, 1 as Txid, 2 as Txid)] };
      await store.put(record, new TextEncoder().encode(JSON.stringify(useless)));
      expect((await survey(store, AT, never)).problems).toEqual([]);
    } finally {
      world.close();
    }
  });

  test("without its data key it is suspended and told, whole as it is", async () => {
    const world = await copyWorld(history.world);
    try {
      const { store } = world;
      await store.delete([dataKeyKey(first(), 1)]);
      const { problems } = await survey(store, AT, never);
      expect(problems).toMatchObject([{ message: expect.stringContaining("data key is missing") }]);
      await repair(store);
      const { rebuilt, problems: left } = await survey(store, AT, never);
      expect(left).toEqual([]);
      expect(rebuilt.tenants.filter(({ suspended }) => suspended).map(({ id }) => id)).toEqual([first()]);
      const [report] = await everyReport(store);
      expect(report).toMatchObject({ logs: [], tenants: [{ tenant: first(), state: "key", moved: [] }] });
    } finally {
      world.close();
    }
  });
});

async function everyReport(store: ObjectStore): Promise<LossReport[]> {
  const reports: LossReport[] = [];
  for await (const { key } of listAll(store, { prefix: "control/restores/" })) {
    reports.push(JSON.parse(new TextDecoder().decode(await getBytes(store, key))) as LossReport);
  }
  return reports;
}
