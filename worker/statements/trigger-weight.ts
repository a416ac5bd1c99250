/** What the triggers on a table, which a tenant's superuser has made by SQL, add to a write of the API, which runs on the main thread. */
import { limits } from "../../shared/limits.ts";
import { quoteName } from "../model/collections/sql-text.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import { StatementFailure } from "./failure.ts";

interface Known {
  schemaVersion: unknown;
  /** Lower case. */
  triggered: ReadonlySet<string>;
  readonly weights: Map<string, { visits: number; untilMs: number }>;
}

interface Operation {
  address: number;
  name: string;
  target: number;
}

interface Loop {
  from: number;
  to: number;
  fan: number;
}

const known = new WeakMap<object, Known>();

/**
 * Before a statement that changes rows of a collection's table. By SQLite's program of it, since a plan says nothing of triggers.
 * @param schema - what is found out is kept with it @throws StatementFailure when they would visit too many rows
 */
export function weighTriggers(db: SqlReader, schema: object, table: string, sql: string): void {
  const version = db.values("PRAGMA schema_version")[0]?.[0];
  let facts = known.get(schema);
  if (facts === undefined || facts.schemaVersion !== version) {
    const rows = db.values("SELECT lower(tbl_name) FROM sqlite_schema WHERE type = 'trigger'");
    facts = {
      schemaVersion: version,
      triggered: new Set(rows.map(([name]) => String(name))),
      weights: new Map(),
    };
    known.set(schema, facts);
  }
  if (!facts.triggered.has(table.toLowerCase())) return;
  const nowMs = performance.now();
  let weight = facts.weights.get(sql);
  if (weight === undefined || weight.untilMs < nowMs) {
    weight = { visits: visitsOf(operationsOf(db, sql), rowsMax(db)), untilMs: nowMs + limits.queryVerdictMs };
    if (facts.weights.size >= limits.queryVerdictsMax) facts.weights.clear();
    facts.weights.set(sql, weight);
  }
  if (weight.visits <= limits.queryVisitsRefused) return;
  throw new StatementFailure("The triggers of the table would take too long", 9, "SQLITE_INTERRUPT");
}

/** Of the statement's own program and one after another of those of triggers, nested ones included. */
function operationsOf(db: SqlReader, sql: string): Operation[][] {
  const bounds = { rowsMax: 100_000, bytesMax: Infinity, deadlineMs: Infinity };
  const programs: Operation[][] = [];
  for (const [address, name, , target] of db.raw(`EXPLAIN ${sql}`, [], bounds).rows) {
    if (Number(address) === 0) programs.push([]);
    programs.at(-1)?.push({ address: Number(address), name: String(name), target: Number(target) });
  }
  return programs;
}

/** Rows that the triggers are likely to visit for one row of the statement, when the largest table has `rows`. */
function visitsOf([, ...triggers]: readonly Operation[][], rows: number): number {
  let visits = 0;
  let calls = 1;
  for (const operations of triggers) {
    const loops = loopsOf(operations, rows);
    const runs = (at: number): number =>
      loops.reduce((product, { from, to, fan }) => (from <= at && at <= to ? product * fan : product), 1);
    visits += loops.reduce((sum, { to }) => sum + runs(to), 1);
    calls *= Math.max(
      1,
      ...operations.filter(({ name }) => name === "Program").map((one) => runs(one.address)),
    );
  }
  return visits * calls;
}

/** Jumps back. One that is neither the end of a loop nor the next row of a co-routine is a recursion's. */
function loopsOf(operations: readonly Operation[], rows: number): Loop[] {
  const few = Math.min(rows, Math.max(10, rows / 100));
  return operations.flatMap(({ address, name, target }): Loop[] => {
    if (target >= address || target <= 0) return [];
    const loop = { from: target, to: address };
    if (/^(?:Next|Prev|VNext|SorterNext)$/.test(name)) {
      const isRange = /^Idx(?:GT|GE|LT|LE)$/.test(operations[target]?.name ?? "");
      return [{ ...loop, fan: Math.max(1, isRange ? few : rows) }];
    }
    if (name !== "Goto") return [];
    return [{ ...loop, fan: operations[target]?.name === "Yield" ? Math.max(1, rows) : Infinity }];
  });
}

/** Of the largest table; without looking at more than its ends. */
function rowsMax(db: SqlReader): number {
  let most = 1;
  const tables = db.values(
    "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT wr",
  );
  for (const [table] of tables) {
    const name = quoteName(String(table));
    const sql = `SELECT (SELECT max(_rowid_) FROM ${name}) - (SELECT min(_rowid_) FROM ${name}) + 1`;
    most = Math.max(
      most,
      Number(db.raw(sql, [], { rowsMax: 1, bytesMax: 1_000, deadlineMs: Infinity }).rows[0]?.[0] ?? 0),
    );
  }
  return most;
}
