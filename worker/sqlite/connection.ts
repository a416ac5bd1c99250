import { type Database, SQLiteError } from "bun:sqlite";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { RawBounds, RawResult, SqlReader, SqlRow, SqlValue, SqlWriter } from "./contract.ts";
import { runRaw } from "./raw.ts";
import { ReadGuard } from "./read-guard.ts";
import { Statements } from "./statements.ts";

export interface CheckpointResult {
  /** A reader or an open transaction stood in the way. */
  busy: boolean;
  /** Frames in the WAL, and those of them that are in the database file now. */
  frames: number;
  done: number;
}

/** One SQLite connection with a statement cache. Made by open.ts, which sets what every connection must have. */
export class Connection implements SqlWriter {
  readonly path: string;
  /** The same connection for who only reads. What an open transaction has written is seen through it, too. */
  readonly guarded: SqlReader;
  readonly #db: Database;
  readonly #statements: Statements;
  #open = true;

  constructor(path: string, db: Database) {
    this.path = path;
    this.#db = db;
    this.#statements = new Statements(db);
    this.guarded = new ReadGuard(db, this.#statements);
  }

  all<Row = SqlRow>(sql: string, params: readonly SqlValue[] = []): Row[] {
    return this.#statements.prepared(sql).all(...params) as Row[];
  }

  get<Row = SqlRow>(sql: string, params: readonly SqlValue[] = []): Row | undefined {
    return (this.#statements.prepared(sql).get(...params) ?? undefined) as Row | undefined;
  }

  values(sql: string, params: readonly SqlValue[] = []): SqlValue[][] {
    return this.#statements.prepared(sql).values(...params);
  }

  run(sql: string, params: readonly SqlValue[] = []): { changes: number; lastInsertRowid: number } {
    const { changes, lastInsertRowid } = this.#statements.prepared(sql).run(...params);
    return { changes, lastInsertRowid: Number(lastInsertRowid) };
  }

  raw(sql: string, params: readonly SqlValue[], bounds: RawBounds): RawResult {
    this.#statements.check();
    return runRaw(this.#db, sql, params, bounds);
  }

  exec(sql: string): void {
    this.#db.run(sql);
  }

  get inTransaction(): boolean {
    return this.#db.inTransaction;
  }

  /** The whole database as this connection sees it (an open transaction's pages too), WAL content included. */
  image(): Uint8Array {
    return this.#db.serialize();
  }

  /**
   * Moves WAL frames into the database file. The caller has captured all of them; never inside a transaction.
   * TRUNCATE needs that nobody reads; PASSIVE does what it can.
   */
  checkpoint(mode: "PASSIVE" | "TRUNCATE"): CheckpointResult {
    // TRUNCATE would wait for readers as long as for locks: one in another thread (a snapshot) would hold up every tenant.
    if (mode === "TRUNCATE") this.#db.run("PRAGMA busy_timeout=0");
    try {
      using statement = this.#db.prepare(`PRAGMA wal_checkpoint(${mode})`);
      const [busy, frames, done] = statement.values()[0] as [number, number, number];
      return { busy: busy !== 0, frames, done };
    } finally {
      if (mode === "TRUNCATE") this.#db.run(`PRAGMA busy_timeout=${limits.sqliteBusyMs}`);
    }
  }

  /**
   * Gives the page cache and the statements back; the next ones are prepared and read pages again. Not within a transaction.
   * A cache that is empty begins with 20 pages at once, so one page is read into a cache of one page: from there it grows page by page.
   */
  shrink(): void {
    this.#statements.clear();
    this.#db.run("PRAGMA shrink_memory");
    this.#db.run("PRAGMA cache_size=1");
    this.#db.run("SELECT 1 FROM sqlite_schema LIMIT 1");
    this.#db.run(`PRAGMA cache_size=-${limits.pageCacheKibibytes}`);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#statements.close();
    this.#db.close();
  }
}

/** Maps what SQLite throws and an operator must act on; anything else (constraints, bad SQL) stays as it is. */
export function asSystemError(error: unknown, what: string): unknown {
  if (!(error instanceof SQLiteError)) return error;
  if (error.code === "SQLITE_FULL") {
    return new SystemError("disk_full", `Cannot ${what}: the worker's disk is full`, {
      cause: error,
      hint: "Free space in the worker's data directory, or give the worker a larger disk.",
    });
  }
  if (error.code?.startsWith("SQLITE_CORRUPT") || error.code?.startsWith("SQLITE_IOERR")) {
    return new SystemError("internal", `Cannot ${what}: SQLite reports ${error.code}`, { cause: error });
  }
  return error;
}
