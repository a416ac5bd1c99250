import { limits } from "../../../shared/limits.ts";
import type { SessionDescription, SessionResult, SqlSession } from "../../hrana/session.ts";
import { firstWords, parameterNames } from "../../hrana/sql-tokens.ts";
import type { SqlValue } from "../../sqlite/contract.ts";
import { StatementFailure } from "../../statements/failure.ts";
import type { SqlAccess } from "../../statements/policy.ts";
import { readSql } from "../../statements/read.ts";
import { SqlRefused } from "../../statements/refused.ts";
import { type RanWithRows, SqlTransaction } from "../../statements/transaction.ts";
import type { Observation, Tenant } from "../../tenant/contract.ts";
import { modelChanged } from "./model-changed.ts";

interface Open {
  transaction: SqlTransaction;
  isReadOnly: boolean;
  cancelTimer(): void;
}

/** Statements that begin so write, or are refused: no use in trying them as reads first. */
const WRITING = new Set("INSERT REPLACE UPDATE DELETE CREATE DROP ALTER REINDEX ANALYZE".split(" "));
const BOUNDS = { rowsMax: limits.sqlRowsMax, bytesMax: limits.sqlResultBytesMax };

/**
 * One connection's worth of SQL on a tenant, in processes that can be killed. Without an open transaction each read has a snapshot
 * and each write a transaction of its own. Every BEGIN, read-only ones too, takes the tenant's write lock until its end or
 * `limits.sqlTransactionMs`: a snapshot must not change between requests, nor keep the WAL from starting again.
 */
export class TenantSession implements SqlSession {
  readonly #tenant: Tenant;
  readonly #access: SqlAccess;
  readonly #transactionMs: number;
  #seen: Observation;
  #open: Open | undefined;
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
    const words = firstWords(sql, 3);
    if (isReadonlyBegin(words)) return this.#begin(true);
    if (this.#open !== undefined) return this.#executeInside(this.#open, sql, params);
    if (this.#lostBecause !== undefined) return this.#executeLost(words, this.#lostBecause);
    if (WRITING.has(words[0] ?? "")) return this.#write(sql, params);
    const ran = await readSql(this.#tenant, this.#seen, this.#access, (reader) =>
      reader.run(sql, params, BOUNDS),
    );
    const { control, foreignKeys, isWrite } = ran.nature;
    if (foreignKeys !== undefined) {
      this.#foreignKeys = foreignKeys;
      return NOTHING;
    }
    if (control === "begin") return this.#begin(false);
    if (control === "savepoint")
      throw new SqlRefused("SQLITE_ERROR", "SAVEPOINT is for inside of a transaction here: send BEGIN first");
    if (control !== undefined) throw new SqlRefused("SQLITE_ERROR", "There is no transaction that is open");
    return isWrite ? this.#write(sql, params) : toResult(ran);
  }

  async describe(sql: string): Promise<SessionDescription> {
    const words = firstWords(sql, 3);
    if (isReadonlyBegin(words)) return { parameters: [], columns: [], isExplain: false, isReadonly: true };
    const { columns, isReadonly } =
      this.#open === undefined
        ? await readSql(this.#tenant, this.#seen, this.#access, (reader) => reader.describe(sql))
        : await this.#open.transaction.describe(sql);
    return { parameters: parameterNames(sql), columns, isExplain: words[0] === "EXPLAIN", isReadonly };
  }

  async close(): Promise<void> {
    this.#lostBecause = undefined;
    await this.#finish("rollback").catch(() => undefined);
  }

  /** One statement in a transaction of its own. */
  async #write(sql: string, params: readonly SqlValue[]): Promise<SessionResult> {
    const transaction = await this.#start();
    let ran: RanWithRows;
    let result: SessionResult;
    try {
      ran = await transaction.run(sql, params, { bounds: BOUNDS, mayNest: false, mustFit: true });
      result = toResult(ran);
    } catch (error) {
      await transaction.rollback();
      throw error;
    }
    if (ran.nature.isWrite) await transaction.commit();
    else await transaction.rollback();
    return result;
  }

  #executeLost([first, second]: readonly string[], why: string): SessionResult {
    if (first === "ROLLBACK" && second !== "TO") {
      this.#lostBecause = undefined;
      return NOTHING;
    }
    throw new SqlRefused("SQLITE_ABORT_ROLLBACK", `The transaction is rolled back: ${why}`);
  }

  async #executeInside(open: Open, sql: string, params: readonly SqlValue[]): Promise<SessionResult> {
    if (open.isReadOnly && !(await open.transaction.describe(sql)).isReadonly)
      throw new SqlRefused("SQLITE_READONLY", "Cannot write in a read-only transaction");
    let ran: RanWithRows;
    try {
      ran = await open.transaction.run(sql, params, { bounds: BOUNDS, mayNest: true, mustFit: true });
    } catch (error) {
      if (error instanceof StatementFailure && error.isLost) {
        this.#lostBecause ??= error.message;
        await this.#finish("rollback").catch(() => undefined);
      }
      throw error;
    }
    const { control, foreignKeys } = ran.nature;
    if (foreignKeys !== undefined) return NOTHING;
    if (control === "begin")
      throw new SqlRefused("SQLITE_ERROR", "Cannot start a transaction within a transaction");
    if (control === "commit" || control === "rollback") {
      await this.#finish(control);
      return NOTHING;
    }
    return toResult(ran);
  }

  #start(): Promise<SqlTransaction> {
    return SqlTransaction.begin(this.#tenant, this.#seen, {
      access: this.#access,
      deferForeignKeys: !this.#foreignKeys,
      onModelChanged: () => modelChanged(this.#tenant),
    });
  }

  async #begin(isReadOnly: boolean): Promise<SessionResult> {
    if (this.#open !== undefined)
      throw new SqlRefused("SQLITE_ERROR", "Cannot start a transaction within a transaction");
    const transaction = await this.#start();
    const timer = setTimeout(() => {
      this.#lostBecause = `it was open for more than ${this.#transactionMs} ms`;
      if (this.#open?.transaction === transaction) this.#open = undefined;
      void transaction.abort(this.#lostBecause).catch(() => undefined);
    }, this.#transactionMs);
    this.#open = { transaction, isReadOnly, cancelTimer: () => clearTimeout(timer) };
    return NOTHING;
  }

  async #finish(how: "commit" | "rollback"): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    open.cancelTimer();
    if (how === "commit") await open.transaction.commit();
    else await open.transaction.rollback();
    this.#noteNewest();
  }

  #noteNewest(): void {
    this.#tenant.data.read(this.#seen, () => undefined);
  }
}

const NOTHING: SessionResult = { columns: [], rows: [], affectedRows: 0, lastInsertRowid: undefined };

/** `BEGIN TRANSACTION READONLY` is libSQL's own word. */
const isReadonlyBegin = (words: readonly string[]): boolean =>
  words[0] === "BEGIN" && words.includes("READONLY");

/** Half an answer would be taken for a whole one. */
function toResult({ columns, rows, cut, nature, changes, lastInsertRowid }: RanWithRows): SessionResult {
  if (cut !== undefined) {
    const bound = cut === "rows" ? `${limits.sqlRowsMax} rows` : `${limits.sqlResultBytesMax} bytes`;
    const what = nature.isWrite ? "returned" : "result's";
    throw new SqlRefused("RESPONSE_TOO_LARGE", `The ${what} rows are more than ${bound}`);
  }
  return {
    columns,
    rows,
    affectedRows: nature.changesRows ? changes : 0,
    lastInsertRowid: nature.changesRows ? lastInsertRowid : undefined,
  };
}
