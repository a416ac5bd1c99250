import { limits } from "../../../shared/limits.ts";
import {
  type SessionDescription,
  type SessionResult,
  type SqlSession,
  SqlRefused,
} from "../../hrana/session.ts";
import { firstWords, parameterNames } from "../../hrana/sql-tokens.ts";
import { TransactionLostError } from "../../sqlite/raw.ts";
import type { RawResult, SqlReader, SqlValue } from "../../sqlite/contract.ts";
import type { Observation, Tenant, WriteTransaction } from "../../tenant/contract.ts";
import type { SqlAccess, StatementNature } from "./policy.ts";
import { type TenantSql, sqlOf } from "./tenant-sql.ts";

interface OpenTransaction {
  tx: WriteTransaction;
  end(how: "commit" | "rollback"): void;
  /** Rejects with what the commit failed with. */
  ended: Promise<void>;
  cancelTimer(): void;
}

/**
 * One connection's worth of SQL on a tenant. Without an open transaction reads run on the read-only connection and writes in a
 * transaction of their own. Every BEGIN, read-only ones too, takes the tenant's write lock until its end or
 * `limits.sqlTransactionMs`: the tenant has one writer connection, and a snapshot must not change between requests.
 */
export class TenantSession implements SqlSession {
  readonly #tenant: Tenant;
  readonly #access: SqlAccess;
  readonly #sql: TenantSql;
  readonly #transactionMs: number;
  #seen: Observation;
  #open: OpenTransaction | undefined;
  #isReadOnly = false;
  #lostBecause: string | undefined;
  #foreignKeys = true;

  constructor(
    tenant: Tenant,
    access: SqlAccess,
    seen: Observation,
    transactionMs: number = limits.sqlTransactionMs,
  ) {
    this.#transactionMs = transactionMs;
    this.#tenant = tenant;
    this.#access = access;
    this.#sql = sqlOf(tenant);
    this.#seen = seen;
  }

  /** The request that speaks now: its answer waits for what it saw, an open transaction's commit included. */
  observe(seen: Observation): void {
    this.#seen = seen;
    this.#noteNewest();
  }

  get isAutocommit(): boolean {
    return this.#open === undefined && this.#lostBecause === undefined;
  }

  async execute(sql: string, params: readonly SqlValue[]): Promise<SessionResult> {
    // `BEGIN TRANSACTION READONLY` is libSQL's own word.
    const words = firstWords(sql, 3);
    if (words[0] === "BEGIN" && words.includes("READONLY")) return this.#begin(true);
    if (this.#open !== undefined || this.#lostBecause !== undefined) return this.#executeInside(sql, params);
    const nature = this.#tenant.data.read(this.#seen, (db) => this.#sql.examine(db, sql, this.#access));
    if (nature.foreignKeys !== undefined) {
      this.#foreignKeys = nature.foreignKeys;
      return NOTHING;
    }
    switch (nature.control) {
      case undefined:
        break;
      case "begin":
        return this.#begin(false);
      case "savepoint":
        throw new SqlRefused(
          "SQLITE_ERROR",
          "SAVEPOINT is for inside of a transaction here: send BEGIN first",
        );
      default:
        throw new SqlRefused("SQLITE_ERROR", "There is no transaction that is open");
    }
    if (!nature.isWrite) {
      const bounds = { rowsMax: limits.sqlRowsMax, bytesMax: limits.sqlResultBytesMax };
      const result = await this.#sql.read(this.#seen, sql, params, this.#access, bounds);
      if (result.cut !== undefined) throw tooLarge(result.cut, false);
      return toResult(result, nature);
    }
    try {
      return await this.#tenant.data.write(this.#seen, (tx) => {
        const now = this.#sql.examine(tx, sql, this.#access);
        const result = run(tx, sql, params, true);
        if (now.touchesModel) tx.afterCommit(() => this.#sql.changed());
        return toResult(result, now);
      });
    } catch (error) {
      this.#sql.undone();
      throw error;
    }
  }

  describe(sql: string): SessionDescription {
    const words = firstWords(sql, 3);
    if (words[0] === "BEGIN" && words.includes("READONLY"))
      return { parameters: [], columns: [], isExplain: false, isReadonly: true };
    const examine = (db: SqlReader) => this.#sql.examine(db, sql, this.#access);
    const { columns, isWrite } =
      this.#open === undefined ? this.#tenant.data.read(this.#seen, examine) : examine(this.#open.tx);
    return {
      parameters: parameterNames(sql),
      columns,
      isExplain: words[0] === "EXPLAIN",
      isReadonly: !isWrite,
    };
  }

  async close(): Promise<void> {
    this.#lostBecause = undefined;
    await this.#finish("rollback").catch(() => undefined);
  }

  async #executeInside(sql: string, params: readonly SqlValue[]): Promise<SessionResult> {
    const open = this.#open;
    if (open === undefined) {
      const [first, second] = firstWords(sql, 2);
      const why = this.#lostBecause ?? "";
      if (first === "ROLLBACK" && second !== "TO") {
        this.#lostBecause = undefined;
        return NOTHING;
      }
      throw new SqlRefused("SQLITE_ABORT_ROLLBACK", `The transaction is rolled back: ${why}`);
    }
    const nature = this.#sql.examine(open.tx, sql, this.#access);
    if (nature.foreignKeys !== undefined) return NOTHING;
    if (nature.control === "begin")
      throw new SqlRefused("SQLITE_ERROR", "Cannot start a transaction within a transaction");
    if (nature.control === "commit" || nature.control === "rollback") {
      await this.#finish(nature.control);
      return NOTHING;
    }
    if (nature.isWrite && this.#isReadOnly)
      throw new SqlRefused("SQLITE_READONLY", "Cannot write in a read-only transaction");
    try {
      // Nested: a write whose rows are too many is undone alone.
      const result = nature.isWrite
        ? open.tx.nested(() => run(open.tx, sql, params, true))
        : run(open.tx, sql, params, false);
      if (nature.control === "rollback to") this.#sql.undone();
      if (nature.touchesModel) open.tx.afterCommit(() => this.#sql.changed());
      return toResult(result, nature);
    } catch (error) {
      if (error instanceof TransactionLostError) {
        this.#lostBecause = error.message;
        await this.#finish("rollback").catch(() => undefined);
        throw error.cause;
      }
      throw error;
    }
  }

  async #begin(isReadOnly: boolean): Promise<SessionResult> {
    if (this.#open !== undefined)
      throw new SqlRefused("SQLITE_ERROR", "Cannot start a transaction within a transaction");
    const started = Promise.withResolvers<WriteTransaction>();
    const asked = Promise.withResolvers<"commit" | "rollback">();
    const undo = new Error("Cannot keep the transaction: it was rolled back");
    const ended = Promise.resolve(
      this.#tenant.data.write(this.#seen, async (tx) => {
        if (!this.#foreignKeys) tx.exec("PRAGMA defer_foreign_keys=ON");
        started.resolve(tx);
        if ((await asked.promise) === "rollback") throw undo;
      }),
    ).catch((error: unknown) => {
      started.reject(error);
      if (error !== undo) throw error;
    });
    // Awaited when the transaction ends; a failure before is told by `started`.
    ended.catch(() => undefined);
    const tx = await started.promise;
    const timer = setTimeout(() => {
      this.#lostBecause = `it was open for more than ${this.#transactionMs} ms`;
      void this.#finish("rollback").catch(() => undefined);
    }, this.#transactionMs);
    this.#open = { tx, end: asked.resolve, ended, cancelTimer: () => clearTimeout(timer) };
    this.#isReadOnly = isReadOnly;
    return NOTHING;
  }

  async #finish(how: "commit" | "rollback"): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    open.cancelTimer();
    open.end(how);
    if (how === "rollback") this.#sql.undone();
    await open.ended;
    this.#noteNewest();
  }

  #noteNewest(): void {
    this.#tenant.data.read(this.#seen, () => undefined);
  }
}

const NOTHING: SessionResult = { columns: [], rows: [], affectedRows: 0, lastInsertRowid: undefined };

function run(db: SqlReader, sql: string, params: readonly SqlValue[], isWrite: boolean): RawResult {
  const result = db.raw(sql, params, {
    rowsMax: limits.sqlRowsMax,
    bytesMax: limits.sqlResultBytesMax,
    deadlineMs: performance.now() + limits.sqlStatementMs,
  });
  // Half an answer would be taken for a whole one; of a write it undoes the statement's own transaction.
  if (result.cut !== undefined) throw tooLarge(result.cut, isWrite);
  return result;
}

function tooLarge(cut: NonNullable<RawResult["cut"]>, isWrite: boolean): SqlRefused {
  if (cut === "time")
    return new SqlRefused("SQLITE_INTERRUPT", `The statement took more than ${limits.sqlStatementMs} ms`);
  const bound = cut === "rows" ? `${limits.sqlRowsMax} rows` : `${limits.sqlResultBytesMax} bytes`;
  return new SqlRefused(
    "RESPONSE_TOO_LARGE",
    `The ${isWrite ? "returned" : "result's"} rows are more than ${bound}`,
  );
}

function toResult(result: RawResult, nature: StatementNature): SessionResult {
  return {
    columns: result.columns,
    rows: result.rows,
    affectedRows: nature.changesRows ? result.changes : 0,
    lastInsertRowid: nature.changesRows ? result.lastInsertRowid : undefined,
  };
}
