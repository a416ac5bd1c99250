import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SystemError } from "../../shared/errors.ts";
import {
  DATA_DB,
  type DatabaseName,
  type Incarnation,
  type Txid,
  parseDatabaseName,
} from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { hashedBody } from "../../shared/log/entry-hash.ts";
import type { DataEntry, RefEntry } from "../../shared/log/log.ts";
import { decodeLtx } from "../../shared/ltx/decode.ts";
import type { LtxFile } from "../../shared/ltx/ltx.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Assignment, Position } from "../../shared/protocol/internal.ts";
import { type ChainFile, listChains, planChain } from "./chain.ts";
import type { Clock } from "./clock.ts";
import { DatabaseFile } from "./database-file.ts";
import { fetchObject } from "./fetch-object.ts";
import { nextEntryHash, sha256Text } from "./hash.ts";
import { DatabaseLedger, chainStats } from "./ledger.ts";
import { parallel } from "./parallel.ts";
import type { SealedLogs, TailItem } from "./sealed-log.ts";
import { planTail } from "./tail-plan.ts";

export interface RestoreOptions {
  store: ObjectStore;
  logs: SealedLogs;
  assignment: Assignment;
  /** Emptied first: whatever is there may be ahead of object storage, and then it must not be seen. */
  directory: string;
  clock: Clock;
  signal: AbortSignal;
}

export interface RestoredDatabase {
  path: string;
  position: Position;
  /** Of the newest TXID. */
  timestampMs: number;
  /** Holds what came from tails and is not under the prefix yet. */
  ledger: DatabaseLedger;
}

export interface RestoredTenant {
  databases: Map<DatabaseName, RestoredDatabase>;
  /** Tails that held entries which the prefix does not. */
  neededTails: Incarnation[];
  /** All files under the prefix. */
  chains: ReadonlyMap<DatabaseName, readonly ChainFile[]>;
}

/**
 * Writes a tenant's database files from object storage alone: newest snapshot, chain, and the entries of every named tail
 * (replication.md §6-7). No databases at all means: the tenant is new and may be created.
 *
 * @throws SystemError `tenant_missing` when nothing is there and control does not call the tenant new; `chain_gap` for any hole
 *   or an end below control's base; `object_corrupt`, `object_foreign`, `log_corrupt`; `store_unavailable`
 */
export async function restoreTenant(options: RestoreOptions): Promise<RestoredTenant> {
  const { store, logs, assignment, directory, signal } = options;
  const [chains, ...tails] = await Promise.all([
    listChains(store, assignment.tenant, { signal }),
    ...assignment.tails.map((tail) => logs.items(tail, assignment.tenant, signal)),
  ]);
  const items = tails.flat();
  const names = new Set<DatabaseName>([
    ...chains.keys(),
    ...items.flatMap(({ item }) => (item.database === undefined ? [] : [item.database])),
    ...Object.keys(assignment.base).map((name) => parseDatabaseName(name)),
  ]);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  if (!names.has(DATA_DB)) {
    if (assignment.virgin && names.size === 0) return { databases: new Map(), neededTails: [], chains };
    throw new SystemError(
      "tenant_missing",
      `Cannot load tenant ${assignment.tenant}: its data is not in object storage`,
      {
        hint: "Check that the worker uses the right bucket and prefix; nothing was created or overwritten.",
        details: { databases: [...names], virgin: assignment.virgin },
      },
    );
  }
  const databases = new Map<DatabaseName, RestoredDatabase>();
  const neededTails = new Set<Incarnation>();
  for (const name of names) {
    const own = items.filter(({ item }) => item.database === name);
    databases.set(name, await restoreDatabase(options, name, chains.get(name) ?? [], own, neededTails));
  }
  return { databases, neededTails: [...neededTails], chains };
}

async function restoreDatabase(
  options: RestoreOptions,
  name: DatabaseName,
  files: readonly ChainFile[],
  items: readonly TailItem[],
  neededTails: Set<Incarnation>,
): Promise<RestoredDatabase> {
  const { store, logs, assignment, directory, clock, signal } = options;
  const base = assignment.base[name];
  const chain = planChain(files);
  const prefixTxid = chain.at(-1)?.maxTxid ?? (0 as Txid);
  const tail = planTail({ prefixTxid, items, base, epoch: assignment.epoch, database: name });
  const reached = tail.at(-1)?.txid ?? prefixTxid;
  if (reached < (base?.txid ?? 0)) {
    throw new SystemError(
      "chain_gap",
      `Cannot load ${name}: object storage ends at TXID ${reached}, below ${base?.txid}`,
      {
        hint: "Acknowledged changes would be missing. Put the missing objects back; the tenant is not served without them.",
      },
    );
  }
  const prefixHash = tail[0]?.previous[0] ?? (base?.txid === prefixTxid ? base.entryHash : "");
  const ledger = new DatabaseLedger(
    assignment.tenant,
    name,
    { txid: prefixTxid, entryHash: prefixHash },
    chainStats(chain),
  );
  const path = join(directory, name);
  const target = new DatabaseFile(path);
  let timestampMs = 0;
  try {
    // Fetched in parallel, some files ahead; applied in order.
    for (let at = 0; at < chain.length; at += limits.restoreParallelGets) {
      const bodies = await parallel(
        chain.slice(at, at + limits.restoreParallelGets),
        limits.restoreParallelGets,
        async (file) => ({ file, bytes: await fetchObject(store, file.key, file.size, signal) }),
      );
      for (const { file, bytes } of bodies) {
        const ltx = decodeLtx(bytes);
        if (ltx.header.minTxid !== file.minTxid || ltx.header.maxTxid !== file.maxTxid) {
          throw new SystemError("object_foreign", `Cannot restore from ${file.key}: it holds other TXIDs`);
        }
        target.apply(ltx);
        timestampMs = Math.max(timestampMs, ltx.header.timestampMs);
      }
    }
    ledger.chain.pageSize = target.pageSize;
    let link: DataEntry | RefEntry | undefined;
    for (let at = 0; at < tail.length; at += limits.restoreParallelGets) {
      const group = tail.slice(at, at + limits.restoreParallelGets);
      const entries = await parallel(group, limits.restoreParallelGets, ({ item }) =>
        logs.entry(item, signal),
      );
      for (const [i, entry] of entries.entries()) {
        const step = group[i] as (typeof group)[number];
        neededTails.add(step.item.incarnation);
        checkHash(
          entry,
          link === undefined ? step.previous : [link.epoch === entry.epoch ? link.entryHash : ""],
        );
        link = entry;
        const bytes = entry.kind === "data" ? entry.ltx : await readReference(store, entry, signal);
        const ltx = decodeLtx(bytes);
        checkHeader(ltx, entry);
        target.apply(ltx);
        timestampMs = Math.max(timestampMs, ltx.header.timestampMs);
        ledger.add({
          position: { txid: entry.txid, entryHash: entry.entryHash },
          ltx: entry.kind === "data" ? bytes.slice() : undefined,
          ref: entry.kind === "ref" ? { key: entry.key, length: entry.length } : undefined,
          pageSize: ltx.header.pageSize,
          commit: ltx.header.commit,
          bytes: bytes.length,
          seq: undefined,
          atMs: clock.monotonicMs(),
        });
      }
    }
    target.finish();
  } catch (error) {
    target.discard();
    throw error;
  }
  const position = ledger.entries.at(-1)?.position ?? ledger.materialised;
  return { path, position, timestampMs, ledger };
}

/** The entry continues one of the chains that it may continue; none given means that nothing is known of what came before. */
function checkHash(entry: DataEntry | RefEntry, previous: readonly string[]): void {
  if (previous.length === 0) return;
  const body = hashedBody(entry);
  if (previous.some((hash) => nextEntryHash(hash, body) === entry.entryHash)) return;
  throw new SystemError(
    "object_corrupt",
    `Cannot load ${entry.database}: the hash chain breaks at TXID ${entry.txid}`,
    {
      hint: "A log object was changed after it was written. Put the original back from the bucket's versions.",
    },
  );
}

function checkHeader({ header }: LtxFile, entry: DataEntry | RefEntry): void {
  if (header.minTxid === entry.txid && header.maxTxid === entry.txid && header.epoch === entry.epoch) return;
  throw new SystemError(
    "object_corrupt",
    `Cannot load ${entry.database}: entry ${entry.txid} holds another TXID's file`,
  );
}

async function readReference(store: ObjectStore, entry: RefEntry, signal: AbortSignal): Promise<Uint8Array> {
  const bytes = await fetchObject(store, entry.key, entry.length, signal);
  if (bytes.length !== entry.length || sha256Text(bytes) !== entry.sha256) {
    throw new SystemError(
      "object_corrupt",
      `Cannot load ${entry.database}: ${entry.key} is not what the log refers to`,
    );
  }
  return bytes;
}
