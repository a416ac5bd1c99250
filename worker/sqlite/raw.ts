import type { Database, SQLQueryBindings, Statement } from "bun:sqlite";
import type { RawBounds, RawResult, SqlValue } from "./contract.ts";

type Prepared = Statement<unknown, SQLQueryBindings[]>;

/** Whether SQLite has rolled the transaction back by itself while this statement failed (`OR ROLLBACK`, disk full). */
export class TransactionLostError extends Error {
  override readonly name = "TransactionLostError";
}

/** @throws what SQLite says; TransactionLostError (with that as cause) when it ended the transaction that was open */
export function runRaw(db: Database, sql: string, params: readonly SqlValue[], bounds: RawBounds): RawResult {
  const wasInside = db.inTransaction;
  const statement = db.prepare<unknown, SQLQueryBindings[]>(sql);
  try {
    statement.safeIntegers(true);
    const names = statement.columnNames;
    let rows: SqlValue[][] = [];
    let cut: RawResult["cut"];
    if (names.length === 0) statement.run(...params);
    else ({ rows, cut } = collect(db, sql, statement, names, params, bounds));
    const declared = statement.declaredTypes;
    const columns = names.map((name, index) => ({ name, declaredType: declared[index] ?? null }));
    return { columns, rows, cut, ...effects(db) };
  } catch (error) {
    if (wasInside && !db.inTransaction) {
      throw new TransactionLostError((error as Error).message, { cause: error });
    }
    throw error;
  } finally {
    statement.finalize();
  }
}

function collect(
  db: Database,
  sql: string,
  statement: Prepared,
  names: readonly string[],
  params: readonly SqlValue[],
  bounds: RawBounds,
): { rows: SqlValue[][]; cut: RawResult["cut"] } {
  const rows: SqlValue[][] = [];
  let bytes = 0;
  for (const row of rowsOf(db, sql, statement, names, params, bounds)) {
    if (rows.length >= bounds.rowsMax) return { rows, cut: "rows" };
    if (rows.length > 0 && bytes > bounds.bytesMax) return { rows, cut: "bytes" };
    if (performance.now() > bounds.deadlineMs) return { rows, cut: "time" };
    const before = bytes;
    for (const value of row) bytes += sizeOf(value);
    if (bytes - before > bounds.bytesMax) return { rows, cut: "bytes" };
    rows.push(row);
  }
  return { rows, cut: undefined };
}

/** Rows one by one; bun:sqlite iterates objects only, so columns of the same name are read as arrays, bounded by SQL. */
function* rowsOf(
  db: Database,
  sql: string,
  statement: Prepared,
  names: readonly string[],
  params: readonly SqlValue[],
  bounds: RawBounds,
): Generator<SqlValue[]> {
  if (new Set(names).size === names.length && !names.includes("__proto__")) {
    for (const row of statement.iterate(...params)) {
      yield names.map((name) => (row as Record<string, SqlValue>)[name] ?? null);
    }
    return;
  }
  if (!statement.readonly || !/^\s*(?:select|with|values)\b/i.test(sql)) {
    yield* statement.values(...params) as SqlValue[][];
    return;
  }
  const body = sql.replace(/[\s;]+$/, "");
  using bounded = db.prepare<unknown, SQLQueryBindings[]>(
    `SELECT * FROM (${body}\n) LIMIT ${bounds.rowsMax + 1}`,
  );
  bounded.safeIntegers(true);
  yield* bounded.values(...params) as SqlValue[][];
}

function effects(db: Database): { changes: number; lastInsertRowid: bigint } {
  using statement = db.prepare("SELECT changes(), last_insert_rowid()");
  const [changes, rowid] = statement.safeIntegers(true).values()[0] as [bigint, bigint];
  return { changes: Number(changes), lastInsertRowid: rowid };
}

function sizeOf(value: SqlValue): number {
  if (typeof value === "string") return value.length;
  if (value instanceof Uint8Array) return value.byteLength;
  return 8;
}
