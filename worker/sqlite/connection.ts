import { Database, type SQLQueryBindings, SQLiteError, type Statement } from "bun:sqlite";
import { LRUCache } from "lru-cache";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { RawBounds, RawResult, SqlRow, SqlValue, SqlWriter } from "./contract.ts";
import { runRaw } from "./raw.ts";

type Prepared = Statement<unknown, SQLQueryBindings[]>;

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
  readonly #db: Database;
  readonly #statements = new LRUCache<string, Prepared>({
    max: limits.statementCacheMax,
    dispose: (statement) => statement.finalize(),
  });
  #open = true;

  constructor(path: string, db: Database) {
    this.path = path;
    this.#db = db;
  }

  all<Row = SqlRow>(sql: string, params: readonly SqlValue[] = []): Row[] {
    return this.#prepared(sql).all(...params) as Row[];
  }

  get<Row = SqlRow>(sql: string, params: readonly SqlValue[] = []): Row | undefined {
    return (this.#prepared(sql).get(...params) ?? undefined) as Row | undefined;
  }

  values(sql: string, params: readonly SqlValue[] = []): SqlValue[][] {
    return this.#prepared(sql).values(...params);
  }

  run(sql: string, params: readonly SqlValue[] = []): { changes: number; lastInsertRowid: number } {
    const { changes, lastInsertRowid } = this.#prepared(sql).run(...params);
    return { changes, lastInsertRowid: Number(lastInsertRowid) };
  }

  raw(sql: string, params: readonly SqlValue[], bounds: RawBounds): RawResult {
    if (!this.#open) throw closedError();
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

  /** Gives the page cache back; the next statements read pages again. */
  shrink(): void {
    this.#db.run("PRAGMA shrink_memory");
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#statements.clear();
    this.#db.close();
  }

  #prepared(sql: string): Prepared {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      if (!this.#open) {
        throw closedError();
      }
      statement = this.#db.prepare<unknown, SQLQueryBindings[]>(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

const closedError = (): SystemError =>
  new SystemError("tenant_stopped", "Cannot query the database: its tenant left this worker", {
    retryAfterMs: 1_000,
  });

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
