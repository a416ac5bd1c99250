/** What the worker asks of a process that runs statements, and what that answers: one question at a time. */
import type { RawBounds, SqlRow, SqlValue } from "../sqlite/contract.ts";
import type { SqlAccess, StatementNature } from "./policy.ts";

export type StatementBounds = Omit<RawBounds, "deadlineMs">;

export interface Column {
  name: string;
  declaredType: string | null;
}

/** A statement of unknown text: compiled, judged, and run if that is what the connection is for. */
export interface RunQuestion {
  type: "run";
  sql: string;
  params: readonly SqlValue[];
  bounds: StatementBounds;
  /** SAVEPOINT, RELEASE and ROLLBACK TO are the client's to use. */
  mayNest: boolean;
  /** A write that returns more than the bounds is undone. */
  mustFit: boolean;
}

/** A statement of our own making on a reader of its own: not judged. */
export interface SelectQuestion {
  type: "select";
  path: string;
  sql: string;
  params: readonly SqlValue[];
  shape: "objects" | "arrays";
  bounds: StatementBounds;
}

export type Question =
  | {
      type: "open";
      path: string;
      access: SqlAccess;
      writes: boolean;
      deferForeignKeys: boolean;
      /** How long the database may become: SQLITE_FULL beyond. */
      bytesMax?: number;
    }
  | RunQuestion
  | { type: "describe"; sql: string }
  | { type: "commit" }
  | { type: "close" }
  | SelectQuestion
  | { type: "plan"; path: string; sql: string };

/** What a statement is, whether or not it ran. */
export interface Ran {
  nature: StatementNature;
  columns: Column[];
  /** False for what the asker has to do itself: transaction control, and writes on a connection that reads. */
  ran: boolean;
  cut: "rows" | "bytes" | "time" | undefined;
  changes: number;
  lastInsertRowid: bigint;
}

export interface Described {
  columns: Column[];
  isReadonly: boolean;
}

/** One row of EXPLAIN QUERY PLAN. */
export interface PlanRow {
  id: number;
  parent: number;
  detail: string;
}

/** `rows` come in pieces of a bounded size before the answer that ends the question. */
export type Told =
  | { type: "ready" }
  | { type: "rows"; rows: SqlValue[][] | SqlRow[] }
  | { type: "done" }
  | { type: "ran"; ran: Ran }
  | { type: "described"; described: Described }
  | { type: "planned"; plan: PlanRow[]; tookMs: number }
  | { type: "selected"; cut: "rows" | "bytes" | undefined }
  | {
      type: "failed";
      name: "SQLiteError" | "SqlRefused";
      message: string;
      errno: number;
      code: string;
      /** SQLite has ended the transaction by itself. */
      isLost: boolean;
    };
