/** What the rest of the worker sees of SQLite. `bun:sqlite` is imported in worker/sqlite/ only. */

export type SqlValue = string | number | bigint | boolean | null | Uint8Array;
export type SqlRow = Record<string, SqlValue>;

/** A read-only view of one database. Statements are cached by their text: never put values into it. */
export interface SqlReader {
  /** All rows as objects, in column order. */
  all<Row = SqlRow>(sql: string, params?: readonly SqlValue[]): Row[];
  /** The first row. */
  get<Row = SqlRow>(sql: string, params?: readonly SqlValue[]): Row | undefined;
  /** All rows as arrays: cheaper, and keeps columns of the same name. */
  values(sql: string, params?: readonly SqlValue[]): SqlValue[][];
}

/** The writer connection inside a transaction. */
export interface SqlWriter extends SqlReader {
  run(sql: string, params?: readonly SqlValue[]): { changes: number; lastInsertRowid: number };
  /** Several statements without parameters or results: schema changes. */
  exec(sql: string): void;
}
