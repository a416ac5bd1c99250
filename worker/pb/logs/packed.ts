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
import { type Packed, isFacts, packEntries, unpackEntries } from "./packed-entries.ts";
import { requestEntry } from "./request-facts.ts";
import { type LogEntry, hasLogs, insertRows } from "./store.ts";

const TABLE =
  "CREATE TABLE IF NOT EXISTS `_mb_log_batches` (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, newest INTEGER NOT NULL, entries BLOB NOT NULL)";
const PACKED_BEFORE = "FROM `_mb_log_batches` WHERE newest <= ?";
const NEWEST = "SELECT id, count, newest, entries FROM `_mb_log_batches` ORDER BY id DESC LIMIT 1";
const OLDEST = "SELECT id, count, entries FROM `_mb_log_batches` ORDER BY id LIMIT 1";

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
  const tally = tenant.slot(tallies);
  const known = tally.packed;
  // Whatever goes wrong, or comes in between: they are counted again.
  tally.packed = undefined;
  const packed = await tenant.database(AUXILIARY_DB).write(tenant.observe(), (tx) => {
    tx.withinQuota();
    const calm = entries.length < limits.logPackEntriesMin;
    if (calm && !isPacked(tx)) {
      insertRows(tx, entries.map(whole));
      return 0;
    }
    const waiting = known ?? packedCount(tx);
    pack(tx, entries);
    // As rows they cost many times a request: a busy tenant pays that later.
    const over = waiting > (calm ? limits.logPackedEntriesCalm : limits.logPackedEntriesMax);
    return waiting + entries.length - (over ? unpackOldest(tx) : 0);
  });
  tally.packed = packed;
}

/** How many entries are packed, where that is known: each batch would have to be visited to count them. */
const tallies = { create: (): { packed: number | undefined } => ({ packed: undefined }) };

/** Whoever reads `_logs`, or copies its database for PocketBase, awaits this. */
export async function unpackLogs(tenant: Tenant): Promise<void> {
  const database = tenant.database(AUXILIARY_DB);
  tenant.slot(tallies).packed = undefined;
  // Asked first: a write that changes nothing would still be replicated.
  while (database.read(tenant.observe(), isPacked)) {
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
  tenant.slot(tallies).packed = undefined;
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

function isPacked(db: SqlReader): boolean {
  return hasTable(db) && db.values("SELECT 1 FROM `_mb_log_batches` LIMIT 1").length > 0;
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
      packEntries(entries),
    ]);
    return;
  }
  tx.run("UPDATE `_mb_log_batches` SET count = ?, newest = ?, entries = ? WHERE id = ?", [
    last.count + entries.length,
    Math.max(last.newest, newest),
    packEntries([...unpackEntries(last.entries), ...entries]),
    last.id,
  ]);
}

/** @returns how many entries that was */
function unpackOldest(tx: WriteTransaction): number {
  const oldest = tx.get<Pick<Batch, "id" | "count" | "entries">>(OLDEST);
  if (oldest === undefined) return 0;
  insertRows(tx, unpackEntries(oldest.entries).map(whole));
  tx.run("DELETE FROM `_mb_log_batches` WHERE id = ?", [oldest.id]);
  return oldest.count;
}

function hasTable(db: SqlReader): boolean {
  return db.values("SELECT 1 FROM sqlite_schema WHERE name = '_mb_log_batches'").length > 0;
}
