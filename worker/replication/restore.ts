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
import type { LtxHeader } from "../../shared/ltx/ltx.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Assignment, Position } from "../../shared/protocol/internal.ts";
import { originSteps } from "../points/origin.ts";
import { buildSteps } from "../points/write-point.ts";
import { type BuildStep, buildDatabase, chainStep } from "./build-database.ts";
import { bulkThreads } from "./bulk/threads.ts";
import type { BulkWork } from "./bulk/work.ts";
import { type ChainFile, isSnapshot, listChains, planChain } from "./chain.ts";
import type { Clock } from "./clock.ts";
import { finishDatabaseFile } from "./database-file.ts";
import { nextEntryHash } from "./hash.ts";
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
  /** For large databases; the threads of the process by default. */
  work?: BulkWork | undefined;
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
  const origins = await readOrigins(options, chains);
  const names = new Set<DatabaseName>([
    ...chains.keys(),
    ...origins.keys(),
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
  const neededTails = new Set<Incarnation>();
  try {
    const restored = await parallel([...names], limits.restoreDatabasesParallel, async (name) => {
      const own = items.filter(({ item }) => item.database === name);
      const files = chains.get(name) ?? [];
      return [
        name,
        await restoreDatabase(options, name, files, own, neededTails, origins.get(name)),
      ] as const;
    });
    return { databases: new Map(restored), neededTails: [...neededTails], chains };
  } catch (error) {
    // All that was begun has ended; half a tenant only takes room, which may be what there is none of.
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

/** What databases of a branch begin with while they have no snapshot of their own: the state of another tenant's. */
async function readOrigins(
  { store, logs, assignment, clock, signal }: RestoreOptions,
  chains: RestoredTenant["chains"],
): Promise<Map<DatabaseName, Beginning>> {
  const found = new Map<DatabaseName, Beginning>();
  const { origin, tenant } = assignment;
  if (origin === undefined) return found;
  const needed = Object.keys(origin.databases).filter(
    (name) => chains.get(parseDatabaseName(name))?.some(isSnapshot) !== true,
  );
  if (needed.length === 0) return found;
  const source = { store, clock, signal, open: <Entry extends DataEntry>(entry: Entry) => logs.open(entry) };
  for (const [name, { steps, txid }] of await originSteps(store, tenant, origin, signal)) {
    if (needed.includes(name)) found.set(name, { txid, steps: await buildSteps(source, steps) });
  }
  return found;
}

interface Beginning {
  txid: Txid;
  steps: readonly BuildStep[];
}

async function restoreDatabase(
  options: RestoreOptions,
  name: DatabaseName,
  files: readonly ChainFile[],
  items: readonly TailItem[],
  neededTails: Set<Incarnation>,
  begin: Beginning = { txid: 0 as Txid, steps: [] },
): Promise<RestoredDatabase> {
  const { store, assignment, directory, clock, signal } = options;
  const work = options.work ?? bulkThreads();
  const base = assignment.base[name];
  const chain = planChain(files, begin.txid);
  const prefixTxid = chain.at(-1)?.maxTxid ?? begin.txid;
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
  const entries = await readTail(options, tail);
  const below = [...begin.steps, ...chain.map(chainStep)];
  const steps = [...below, ...entries.map(({ entry }) => entryStep(entry))];
  const headers = await buildDatabase({ store, clock, signal, work }, path, steps);
  const timestampMs = headers.reduce((newest, header) => Math.max(newest, header.timestampMs), 0);
  ledger.loaded(headers.slice(0, below.length));
  for (const [i, { entry, item }] of entries.entries()) {
    const header = headers[below.length + i] as LtxHeader;
    checkHeader(header, entry);
    neededTails.add(item.incarnation);
    ledger.add({
      position: { txid: entry.txid, entryHash: entry.entryHash },
      ltx: entry.kind === "data" ? entry.ltx.slice() : undefined,
      stored: entry.kind === "data" ? entry.stored?.slice() : undefined,
      ref: entry.kind === "ref" ? { key: entry.key, length: entry.length } : undefined,
      pageSize: header.pageSize,
      commit: header.commit,
      bytes: entry.kind === "data" ? entry.ltx.length : entry.length,
      seq: undefined,
      atMs: clock.monotonicMs(),
    });
  }
  finishDatabaseFile(path);
  const position = ledger.entries.at(-1)?.position ?? ledger.materialised;
  return { path, position, timestampMs, ledger };
}

interface ReadEntry {
  entry: DataEntry | RefEntry;
  item: TailItem;
}

/** What the tails hold beyond the prefix, each entry proven to continue the one before it. As much as ledgers hold anyway. */
async function readTail(
  { logs, signal }: RestoreOptions,
  tail: ReturnType<typeof planTail>,
): Promise<ReadEntry[]> {
  const entries = await parallel(tail, limits.restoreParallelGets, async ({ item }) => ({
    item,
    entry: await logs.entry(item, signal),
  }));
  let link: DataEntry | RefEntry | undefined;
  for (const [i, { entry }] of entries.entries()) {
    const { previous } = tail[i] as (typeof tail)[number];
    checkHash(entry, link === undefined ? previous : [link.epoch === entry.epoch ? link.entryHash : ""]);
    link = entry;
  }
  return entries;
}

function entryStep(entry: DataEntry | RefEntry): BuildStep {
  const { database, txid } = entry;
  const facts = { minTxid: txid, maxTxid: txid };
  if (entry.kind === "data") {
    return { input: { ...facts, name: `entry ${txid} of ${database}` }, source: { bytes: entry.ltx } };
  }
  const { key, length, sha256 } = entry;
  return { input: { ...facts, name: key, sha256 }, source: { key, size: length } };
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

/** That its TXID is right was proven when it was read. */
function checkHeader(header: LtxHeader, entry: DataEntry | RefEntry): void {
  if (header.epoch === entry.epoch) return;
  throw new SystemError(
    "object_corrupt",
    `Cannot load ${entry.database}: entry ${entry.txid} holds a file of another epoch`,
  );
}
