import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemError } from "../../shared/errors.ts";
import { DATA_DB, type Epoch, type LogSeq, type TenantId, type Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeBundle } from "../../shared/log/bundle.ts";
import { decodeLtx } from "../../shared/ltx/decode.ts";
import { encodeLtx } from "../../shared/ltx/encode.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { SNAPSHOT_LEVEL, bundleKey, ltxKey } from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import { openObjectStore } from "../objects/open.ts";
import { inlineWork } from "./bulk/inline.ts";
import { type Clock, systemClock } from "./clock.ts";
import { DatabaseLedger, emptyChain } from "./ledger.ts";
import { type MaterialiseTarget, Materialiser } from "./materialise.ts";

let directory: string;
let store: ObjectStore;
let ended: AbortController;
let nowMs: number;
let timers: { atMs: number; run: () => void }[];
let materialiser: Materialiser;

const clock: Clock = {
  ...systemClock,
  monotonicMs: () => nowMs,
  after(delayMs, run) {
    const timer = { atMs: nowMs + delayMs, run };
    timers.push(timer);
    return () => void (timers = timers.filter((one) => one !== timer));
  },
};

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "materialise-"));
  store = await openObjectStore(`file:${directory}`, {});
  ended = new AbortController();
  [nowMs, timers] = [0, []];
  materialiser = new Materialiser({
    store,
    clock,
    signal: ended.signal,
    bulk: { work: inlineWork, directory: join(directory, "bulk") },
  });
});
afterEach(() => {
  ended.abort(new Error("the test has ended"));
  materialiser.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Target extends MaterialiseTarget {
  told: number;
  errors: unknown[];
  warnings: unknown[];
  size: number;
  images: number;
}

function target(tenant = "abcdefghijklmno"): Target {
  const ledger = new DatabaseLedger(
    tenant as TenantId,
    DATA_DB,
    { txid: 0 as Txid, entryHash: "" },
    emptyChain(),
  );
  const made: Target = {
    ledger,
    told: 0,
    errors: [],
    warnings: [],
    size: 512,
    images: 0,
    image: () => {
      made.images++;
      return Promise.resolve(undefined);
    },
    materialised: () => void made.told++,
    snapshotBytes: () => made.size,
    gone: ended.signal,
    failed: (error) => void made.errors.push(error),
    warned: (error) => void made.warnings.push(error),
  };
  return made;
}

function log(to: Target, txid: number, seq = txid, pageSize = 512): void {
  const header = {
    pageSize,
    commit: 1,
    minTxid: txid as Txid,
    maxTxid: txid as Txid,
    timestampMs: txid,
    epoch: 1 as Epoch,
  };
  const ltx = encodeLtx({ ...header, walOffset: 0, walSize: 0, salt1: 0, salt2: 0 }, [
    { pgno: 1, data: new Uint8Array(pageSize).fill(txid) },
  ]);
  const position = { txid: txid as Txid, entryHash: "A".repeat(43) };
  const entry = { position, ltx, ref: undefined, pageSize, commit: 1, bytes: ltx.length, atMs: nowMs };
  to.ledger.add({ ...entry, seq: seq as LogSeq });
  materialiser.added(to);
}

async function names(): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of listAll(store, { prefix: "tenants/" }))
    if (key.includes("/litestream/")) found.push(key.split("/").slice(-2).join("/"));
  return found;
}

/** TXIDs of each bundle, proven. */
async function bundles(): Promise<number[][]> {
  const found: number[][] = [];
  for await (const { key } of listAll(store, { prefix: "tenants/" })) {
    if (!key.endsWith(".bundle")) continue;
    const entries = decodeBundle((await getBytes(store, key)) as Uint8Array);
    expect(key).toBe(
      bundleKey(
        entries[0]?.tenant as TenantId,
        DATA_DB,
        entries[0]?.txid as Txid,
        entries.at(-1)?.txid as Txid,
      ),
    );
    expect(entries.map(({ ltx }) => decodeLtx(ltx).header.maxTxid)).toEqual(entries.map(({ txid }) => txid));
    found.push(entries.map(({ txid }) => txid));
  }
  return found;
}

/** Lets time pass; timers run when they are due. */
async function pass(ms: number): Promise<void> {
  const untilMs = nowMs + ms;
  for (;;) {
    const due = timers.filter((timer) => timer.atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs)[0];
    if (due === undefined) break;
    timers = timers.filter((timer) => timer !== due);
    nowMs = Math.max(nowMs, due.atMs);
    due.run();
    await Bun.sleep(80);
  }
  nowMs = untilMs;
}

const hex = (n: number): string => n.toString(16).padStart(16, "0");

describe("Materialiser", () => {
  test("waits for the time to come, with one timer for all, and none when nothing is pending", async () => {
    const [a, b] = [target("aaaaaaaaaaaaaaa"), target("bbbbbbbbbbbbbbb")];
    log(a, 1);
    await pass(60_000);
    log(b, 1);
    expect(timers.length).toBe(1);
    await pass(limits.materialiseAfterMs - 120_000);
    expect(await names()).toEqual([]);
    await pass(60_000);
    expect([a.told, b.told]).toEqual([1, 0]);
    await pass(60_000);
    expect([a.told, b.told]).toEqual([1, 1]);
    expect(timers.length).toBe(0);
  });

  test("writes one file of many entries; from TXID 1 it is a snapshot", async () => {
    const one = target();
    for (let txid = 1; txid <= 3; txid++) log(one, txid);
    await materialiser.flush(one);
    for (let txid = 4; txid <= 5; txid++) log(one, txid);
    await materialiser.flush(one);
    expect(await names()).toEqual([`0001/${hex(4)}-${hex(5)}.ltx`, `0009/${hex(1)}-${hex(3)}.ltx`]);
    expect(await bundles()).toEqual([
      [1, 2, 3],
      [4, 5],
    ]);
    log(one, 6);
    await materialiser.flush(one);
    // One flush is its own file.
    expect((await bundles()).length).toBe(2);
    expect(one.ledger.materialised.txid).toBe(6 as Txid);
    expect(one.ledger.chain.files).toBe(2);
  });

  test("ends a file where the page size changes", async () => {
    const one = target();
    log(one, 1);
    log(one, 2, 2, 1024);
    log(one, 3, 3, 1024);
    await materialiser.flush(one);
    expect(await names()).toEqual([`0001/${hex(2)}-${hex(3)}.ltx`, `0009/${hex(1)}-${hex(1)}.ltx`]);
    expect(one.ledger.snapshotDue(0)).toBe(true);
  });

  test("does it at once when entries are many", async () => {
    const one = target();
    for (let txid = 1; txid <= limits.materialiseEntries; txid++) log(one, txid);
    await materialiser.flush(one);
    expect(one.told).toBe(1);
  });

  test("what comes in meanwhile waits for company", async () => {
    const one = target();
    const putIfAbsent = store.putIfAbsent.bind(store);
    const many = limits.materialiseEntries;
    let puts = 0;
    store.putIfAbsent = (key, body, options) => {
      // The bundle and the file of the first run.
      if (++puts <= 2) log(one, many + puts);
      return putIfAbsent(key, body, options);
    };
    const first = Promise.withResolvers<void>();
    one.materialised = () => {
      one.told++;
      first.resolve();
    };
    for (let txid = 1; txid <= many; txid++) log(one, txid);
    await first.promise;
    log(one, many + 3);
    await materialiser.flush(one);
    const all = (await bundles()).toSorted(([a = 0], [b = 0]) => a - b);
    expect(all.map((txids) => [txids[0], txids.at(-1)])).toEqual([
      [1, many],
      [many + 1, many + 3],
    ]);
    expect(one.told).toBe(2);
  });

  test("knows the oldest slot that is needed", async () => {
    const [a, b] = [target("aaaaaaaaaaaaaaa"), target("bbbbbbbbbbbbbbb")];
    expect(materialiser.oldestNeeded()).toBeUndefined();
    log(a, 1, 7);
    log(b, 1, 9);
    expect(materialiser.oldestNeeded()).toBe(7 as LogSeq);
    await materialiser.flush(a);
    nowMs += 2_000;
    expect(materialiser.oldestNeeded()).toBe(9 as LogSeq);
  });

  test("a file that is there already is success when it is the same, and an error otherwise", async () => {
    const [one, again, other] = [target(), target(), target()];
    log(one, 1);
    await materialiser.flush(one);
    log(again, 1);
    await materialiser.flush(again);
    expect(again.told).toBe(1);
    log(other, 1, 1, 1024);
    expect(await materialiser.flush(other).catch((error: Error) => error.message)).toContain(
      "another file is there",
    );
    expect(other.errors.length).toBe(1);
    expect(other.ledger.entries.length).toBe(1);
  });

  test("takes the snapshot of a large database from its objects, beside everything else", async () => {
    const one = target();
    one.size = limits.snapshotImageBytesMax + 1;
    log(one, 1);
    await materialiser.settle(one);
    log(one, 2, 2, 1024);
    log(one, 3, 3, 1024);
    await materialiser.settle(one);
    expect(await names()).toContain(`0009/${hex(1)}-${hex(3)}.ltx`);
    const key = ltxKey(one.ledger.tenant, DATA_DB, SNAPSHOT_LEVEL, 1 as Txid, 3 as Txid);
    const { header, pages } = decodeLtx((await getBytes(store, key)) as Uint8Array);
    expect(header).toMatchObject({ pageSize: 1024, commit: 1, minTxid: 1, maxTxid: 3 });
    expect(pages.get(1)).toEqual(new Uint8Array(1024).fill(3));
    expect(one.images).toBe(0);
    expect(one.ledger.chain).toMatchObject({ files: 0, bytes: 0 });
    expect(one.ledger.snapshotDue(0)).toBe(false);
    // Nothing is left of what was made on disk.
    expect(readdirSync(join(directory, "bulk"))).toEqual([]);
  });

  test("what came under the prefix while a large snapshot was made stays in the chain", async () => {
    const one = target();
    one.size = limits.snapshotImageBytesMax + 1;
    log(one, 1);
    await materialiser.settle(one);
    one.ledger.chain.snapshotBytes = 0;
    log(one, 2);
    await materialiser.flush(one);
    log(one, 3);
    await materialiser.flush(one);
    one.ledger.chain.snapshotBytes = 1;
    await materialiser.settle(one);
    expect(await names()).toContain(`0009/${hex(1)}-${hex(2)}.ltx`);
    expect(one.ledger.chain.files).toBe(1);
  });

  test("objects that cannot be read do not stop a tenant: its database is the next snapshot", async () => {
    const one = target();
    one.size = limits.snapshotImageBytesMax + 1;
    log(one, 1);
    await materialiser.settle(one);
    const key = ltxKey(one.ledger.tenant, DATA_DB, SNAPSHOT_LEVEL, 1 as Txid, 1 as Txid);
    const bytes = (await getBytes(store, key)) as Uint8Array;
    bytes[120] = (bytes[120] as number) ^ 255;
    await store.put(key, bytes);
    log(one, 2, 2, 512);
    one.ledger.chain.snapshotBytes = 0;
    await materialiser.settle(one);
    expect([one.images, one.errors]).toEqual([1, []]);
    expect(one.warnings).toMatchObject([{ code: "object_corrupt", details: { key } }]);
  });

  test("a store that fails while a large snapshot is made is told of, and the tenant goes on", async () => {
    const one = target();
    one.size = limits.snapshotImageBytesMax + 1;
    log(one, 1);
    await materialiser.settle(one);
    one.ledger.chain.snapshotBytes = 0;
    store.list = () => Promise.reject(new SystemError("store_unavailable", "Cannot list"));
    await materialiser.settle(one);
    expect(one.errors).toEqual([]);
    expect(one.warnings).toHaveLength(1);
  });

  test("what is there at the first look and gone at the second is written after all", async () => {
    const one = target();
    const puts: string[] = [];
    const putIfAbsent = store.putIfAbsent.bind(store);
    store.putIfAbsent = (key, body, options) => {
      puts.push(key);
      return puts.length === 1 ? Promise.resolve("exists") : putIfAbsent(key, body, options);
    };
    log(one, 1);
    const done = materialiser.flush(one);
    await Bun.sleep(20);
    await pass(limits.logRetryDelayMsMax);
    await done;
    expect(puts).toHaveLength(2);
    expect(await names()).toEqual([`0009/${hex(1)}-${hex(1)}.ltx`]);
    expect(one.errors).toEqual([]);
  });
});
