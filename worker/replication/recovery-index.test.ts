/** A log's recovery reads few objects, and finds what reading all of them would find. */
import { expect, test } from "bun:test";
import type { DatabaseName, Epoch, Incarnation, LogSeq, TenantId, Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { DirectoryDatabase } from "../../shared/log/log.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { logKey } from "../../shared/objects/layout.ts";
import { systemClock } from "./clock.ts";
import { nextEntryHash } from "./hash.ts";
import { type LogGroup, LogWriter } from "./log-writer.ts";
import { SealedLogs } from "./sealed-log.ts";

const INCARNATION = 7 as Incarnation;
const NAME = "data.db" as DatabaseName;
const epoch = 1 as Epoch;
const tenants = ["aaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbb", "ccccccccccccccc"] as TenantId[];

/** Objects in memory; `reads` has the keys of all ranged GETs. */
function memory(): { store: ObjectStore; objects: Map<string, Uint8Array>; reads: string[] } {
  const objects = new Map<string, Uint8Array>();
  const reads: string[] = [];
  const store = {
    putIfAbsent(key: string, body: Uint8Array) {
      objects.set(key, body);
      return Promise.resolve("created");
    },
    range(key: string, range: { offset: number; length: number } | { suffix: number }) {
      reads.push(key);
      const body = objects.get(key);
      if (body === undefined) return Promise.resolve(undefined);
      const [from, to] =
        "suffix" in range
          ? [Math.max(0, body.length - range.suffix), body.length]
          : [range.offset, range.offset + range.length];
      return Promise.resolve({ bytes: body.slice(from, to), size: body.length });
    },
  } as unknown as ObjectStore;
  return { store, objects, reads };
}

interface Logged {
  tenant: TenantId;
  txid: Txid;
  seq: LogSeq;
  offset: number;
  length: number;
}

/** Writes `slots` objects with one entry each; every 100 slots all but the newest 30 are under the prefix. */
async function written(
  slots: number,
  store: ObjectStore,
  materialises = true,
): Promise<{ logged: Logged[]; low: number }> {
  const logged: Logged[] = [];
  let low = 1;
  const waiting: LogGroup[] = [];
  const hashes = new Map<TenantId, string>();
  const writer = new LogWriter({
    store,
    incarnation: INCARNATION,
    nonce: "ab".repeat(16),
    clock: { ...systemClock, soon: (run) => queueMicrotask(run) },
    source: {
      take: () => waiting.shift(),
      oldestNeeded: () => low as LogSeq,
      pendingEntries: () => directory(logged.filter(({ seq }) => seq >= low)),
    },
    onFenced: () => {
      throw new Error("fenced");
    },
  });
  for (let n = 0; n < slots; n++) {
    const tenant = tenants[n % tenants.length] as TenantId;
    const txid = (Math.floor(n / tenants.length) + 1) as Txid;
    const ltx = new Uint8Array([n & 255, n >> 8]);
    const entryHash = nextEntryHash(hashes.get(tenant) ?? "", ltx);
    hashes.set(tenant, entryHash);
    await new Promise<void>((resolve) => {
      waiting.push({
        entries: [{ kind: "data", tenant, database: NAME, epoch, txid, entryHash, ltx }],
        bytes: 200,
        durable: (seq, [item]) => {
          if (item === undefined) throw new Error("no span");
          logged.push({ tenant, txid, seq, offset: item.offset, length: item.length });
          resolve();
        },
      });
      writer.request();
    });
    if (materialises && n % 100 === 99) low = n - 30;
  }
  await writer.seal();
  return { logged, low };
}

function directory(pending: readonly Logged[]): DirectoryDatabase[] {
  return tenants.flatMap((tenant) => {
    const own = pending.filter((one) => one.tenant === tenant);
    const [first] = own;
    if (first === undefined) return [];
    const entries = own.map(({ seq, offset, length }) => ({ seq, kind: "data" as const, offset, length }));
    return [{ tenant, epoch, database: NAME, firstTxid: first.txid, entries }];
  });
}

for (const slots of [1, 63, 64, 65, 1_023, 1_024, 1_100, 2_047, 2_048, 3_071]) {
  test(`a log of ${slots} objects`, async () => {
    const { store } = memory();
    const { logged, low } = await written(slots, store);
    const logs = new SealedLogs(store);
    const tail = { incarnation: INCARNATION, endSeq: (slots + 1) as LogSeq };
    const signal = AbortSignal.timeout(10_000);
    for (const tenant of tenants) {
      const items = await logs.items(tail, tenant, signal);
      const needed = logged.filter((one) => one.tenant === tenant && one.seq >= low);
      const found = items.filter(({ seq }) => seq >= low);
      expect(found.map(({ seq, item }) => [seq, item.txid, item.offset, item.length])).toEqual(
        needed.map(({ seq, txid, offset, length }) => [seq, txid, offset, length]),
      );
      for (const item of found.slice(0, 3)) {
        const entry = await logs.entry(item, signal);
        expect([entry.txid, entry.epoch]).toEqual([item.item.txid as Txid, epoch]);
      }
    }
  });
}

test("reads the last DIRECTORY, at most 16 FOOTERS and 64 footers, however long the log is", async () => {
  const slots = 4 * limits.logDirectoryEvery - 1;
  const { store, reads, objects } = memory();
  // Nothing is ever materialised: the longest recovery there is.
  await written(slots, store, false);
  const logs = new SealedLogs(store);
  const signal = AbortSignal.timeout(10_000);
  const items = await logs.items(
    { incarnation: INCARNATION, endSeq: (slots + 1) as LogSeq },
    tenants[0] as TenantId,
    signal,
  );
  expect(items.length).toBe(Math.ceil(slots / tenants.length));
  expect(objects.size).toBe(slots + 1);
  const read = new Set(reads);
  expect(read.size).toBeLessThanOrEqual(1 + 16 + 64);
  // Of an object with an index entry: footer and entry.
  expect(reads.length).toBeLessThanOrEqual(2 + 16 * 2 + 64);
  expect(read.has(logKey(INCARNATION, (3 * limits.logDirectoryEvery) as LogSeq))).toBe(true);
});
