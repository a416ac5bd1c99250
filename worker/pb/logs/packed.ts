/**
 * Logs of busy times, on their way to `_logs`: most are never read, and as rows with four indexes they would cost more than the requests
 * that they are of. So they wait compressed, a twentieth as long, until somebody wants to read them; retention drops them as they are.
 */
import { setImmediate } from "node:timers/promises";
import { AUXILIARY_DB } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { Observation, Tenant, WriteTransaction } from "../../tenant/contract.ts";
import { dateText } from "../../model/fields/date-text.ts";
import { type RequestFacts, requestEntry } from "./request-facts.ts";
import { type LogEntry, hasLogs, insertRows } from "./store.ts";

const TABLE =
  "CREATE TABLE IF NOT EXISTS `_mb_log_batches` (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, newest INTEGER NOT NULL, entries BLOB NOT NULL)";
const PACKED_BEFORE = "FROM `_mb_log_batches` WHERE newest <= ?";
const NEWEST = "SELECT id, count, newest, entries FROM `_mb_log_batches` ORDER BY id DESC LIMIT 1";
const OLDEST = "SELECT id, entries FROM `_mb_log_batches` ORDER BY id LIMIT 1";

type Packed = LogEntry | RequestFacts;

const isFacts = (entry: Packed): entry is RequestFacts => Array.isArray(entry);
const whole = (entry: Packed): LogEntry => (isFacts(entry) ? requestEntry(entry) : entry);
const timeOf = (entry: Packed): number => (isFacts(entry) ? entry[0] : entry.timeMs);

interface Batch {
  id: number;
  count: number;
  newest: number;
  entries: Uint8Array;
}

/** One commit. Few entries become rows at once, unless older ones are packed: rows are in the order of time. */
export async function storeLogs(tenant: Tenant, entries: readonly Packed[]): Promise<void> {
  await tenant.database(AUXILIARY_DB).write(tenant.observe(), (tx) => {
    tx.withinQuota();
    const waiting = packedCount(tx);
    if (waiting === 0 && entries.length < limits.logPackEntriesMin) insertRows(tx, entries.map(whole));
    else pack(tx, entries);
    if (waiting > limits.logPackedEntriesMax) unpackOldest(tx);
  });
}

/** Whoever reads `_logs`, or copies its database for PocketBase, awaits this. */
export async function unpackLogs(tenant: Tenant): Promise<void> {
  const database = tenant.database(AUXILIARY_DB);
  // Asked first: a write that changes nothing would still be replicated.
  while (database.read(tenant.observe(), packedCount) > 0) {
    await database.write(tenant.observe(), unpackOldest);
    // Requests have their turns between batches.
    await setImmediate();
  }
}

/** The last instant whose text sorts after all others. */
const NEWEST_MS = Date.UTC(9999, 11, 31);

/** Those of that time go, too; of packed ones whole batches. @returns how many went */
export async function deleteLogsBefore(tenant: Tenant, seen: Observation, timeMs: number): Promise<number> {
  const database = tenant.database(AUXILIARY_DB);
  const before = dateText(new Date(Math.min(timeMs, NEWEST_MS)));
  const isOld = (db: SqlReader): boolean =>
    (hasTable(db) && db.values(`SELECT 1 ${PACKED_BEFORE} LIMIT 1`, [timeMs]).length > 0) ||
    (hasLogs(db) && db.values("SELECT 1 FROM `_logs` WHERE created <= ? LIMIT 1", [before]).length > 0);
  // Asked first: a write that changes nothing would still be replicated.
  if (!database.read(seen, isOld)) return 0;
  return database.write(seen, (tx) => {
    let count = 0;
    if (hasTable(tx)) {
      count += Number(tx.values(`SELECT coalesce(sum(count), 0) ${PACKED_BEFORE}`, [timeMs])[0]?.[0] ?? 0);
      tx.run(`DELETE ${PACKED_BEFORE}`, [timeMs]);
    }
    if (hasLogs(tx)) count += tx.run("DELETE FROM `_logs` WHERE created <= ?", [before]).changes;
    return count;
  });
}

function packedCount(db: SqlReader): number {
  if (!hasTable(db)) return 0;
  return Number(db.values("SELECT coalesce(sum(count), 0) FROM `_mb_log_batches`")[0]?.[0] ?? 0);
}

/** Into the newest batch while it has room: their number stays small in quiet times, too. */
function pack(tx: WriteTransaction, entries: readonly Packed[]): void {
  tx.exec(TABLE);
  const newest = entries.reduce((time, entry) => Math.max(time, timeOf(entry)), 0);
  const last = tx.get<Batch>(NEWEST);
  if (last === undefined || last.count + entries.length > limits.logBatchEntriesMax) {
    tx.run("INSERT INTO `_mb_log_batches` (count, newest, entries) VALUES (?, ?, ?)", [
      entries.length,
      newest,
      encode(entries),
    ]);
    return;
  }
  tx.run("UPDATE `_mb_log_batches` SET count = ?, newest = ?, entries = ? WHERE id = ?", [
    last.count + entries.length,
    Math.max(last.newest, newest),
    encode([...decode(last.entries), ...entries]),
    last.id,
  ]);
}

function unpackOldest(tx: WriteTransaction): void {
  const oldest = tx.get<Pick<Batch, "id" | "entries">>(OLDEST);
  if (oldest === undefined) return;
  insertRows(tx, decode(oldest.entries).map(whole));
  tx.run("DELETE FROM `_mb_log_batches` WHERE id = ?", [oldest.id]);
}

function encode(entries: readonly Packed[]): Uint8Array {
  return Bun.zstdCompressSync(JSON.stringify(entries), { level: 1 });
}

/** One that cannot be read is given up: logs are not worth more than that. */
function decode(packed: Uint8Array): Packed[] {
  try {
    return JSON.parse(new TextDecoder().decode(Bun.zstdDecompressSync(packed))) as Packed[];
  } catch {
    return [];
  }
}

function hasTable(db: SqlReader): boolean {
  return db.values("SELECT 1 FROM sqlite_schema WHERE name = '_mb_log_batches'").length > 0;
}
