/** What the rest of the worker sees of SQLite. `bun:sqlite` is imported in worker/sqlite/ only. */

export type SqlValue = string | number | bigint | boolean | null | Uint8Array;
export type SqlRow = Record<string, SqlValue>;

/** Bounds of a statement that somebody else wrote. */
export interface RawBounds {
  rowsMax: number;
  /** Rough size of all values; a row that is larger alone is not given out. */
  bytesMax: number;
  /** `performance.now()` after which no further row is asked for. */
  deadlineMs: number;
}

/** What one statement of unknown text gave: integers are bigint, floats are number. */
export interface RawResult {
  columns: { name: string; declaredType: string | null }[];
  rows: SqlValue[][];
  /** The bound that cut the rows off, if one did. */
  cut: "rows" | "bytes" | "time" | undefined;
  /** Of the newest INSERT, UPDATE or DELETE on this connection. */
  changes: number;
  lastInsertRowid: bigint;
}

/** A read-only view of one database. Statements are cached by their text: never put values into it. */
export interface SqlReader {
  /** All rows as objects, in column order. */
  all<Row = SqlRow>(sql: string, params?: readonly SqlValue[]): Row[];
  /** The first row. */
  get<Row = SqlRow>(sql: string, params?: readonly SqlValue[]): Row | undefined;
  /** All rows as arrays: cheaper, and keeps columns of the same name. */
  values(sql: string, params?: readonly SqlValue[]): SqlValue[][];
  /** One statement of unknown text, judged by the caller, not cached; what follows the first statement is ignored. */
  raw(sql: string, params: readonly SqlValue[], bounds: RawBounds): RawResult;
}

/** The writer connection inside a transaction. */
export interface SqlWriter extends SqlReader {
  run(sql: string, params?: readonly SqlValue[]): { changes: number; lastInsertRowid: number };
  /** Several statements without parameters or results: schema changes. */
  exec(sql: string): void;
}
