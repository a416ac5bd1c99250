import type { SqlValue } from "../sqlite/contract.ts";
import type { Connection } from "../sqlite/connection.ts";
import { openReader, openWriter } from "../sqlite/open.ts";
import { type CompiledStatement, SchemaCopy } from "../sqlite/schema-copy.ts";
import { SQL_FUNCTIONS } from "../query/functions.ts";
import type { Described, Question, Ran, RunQuestion } from "./messages.ts";
import { type KnownNames, type SqlAccess, type StatementNature, judge, mayPragma } from "./policy.ts";

const GUARD = "mb_statement";

interface Open {
  connection: Connection;
  access: SqlAccess;
  writes: boolean;
}

/** The connection of a SQL session in its process: every statement is judged here, on what it will run on. */
export class ChildConnection {
  readonly #copy = new SchemaCopy(SQL_FUNCTIONS);
  #open: Open | undefined;

  /** Begins a transaction: one that writes, or one that sees the newest commit and no later one. */
  open({ path, access, writes, deferForeignKeys, bytesMax }: Extract<Question, { type: "open" }>): void {
    this.close();
    const options = { functions: SQL_FUNCTIONS };
    const connection = writes ? openWriter(path, options) : openReader(path, options);
    this.#open = { connection, access, writes };
    connection.exec(writes ? "BEGIN IMMEDIATE" : "BEGIN");
    if (bytesMax !== undefined) {
      const pageSize = Number(connection.values("PRAGMA page_size")[0]?.[0]);
      connection.exec(`PRAGMA max_page_count=${Math.max(1, Math.floor(bytesMax / pageSize))}`);
    }
    if (deferForeignKeys) connection.exec("PRAGMA defer_foreign_keys=ON");
  }

  /** @throws SqlRefused, CompileError, what SQLite says, TransactionLostError */
  run({ sql, params, bounds, mayNest, mustFit }: RunQuestion): { ran: Ran; rows: SqlValue[][] } {
    const { connection, writes } = this.#opened();
    const { columns, ...nature } = this.#examine(sql);
    const { control, foreignKeys, isWrite } = nature;
    const isNesting = control === "savepoint" || control === "release" || control === "rollback to";
    const isAskers = foreignKeys !== undefined || (control !== undefined && !(isNesting && mayNest));
    if (isAskers || (isWrite && !writes)) {
      const ran: Ran = { nature, columns, ran: false, cut: undefined, changes: 0, lastInsertRowid: 0n };
      return { ran, rows: [] };
    }
    const isGuarded = isWrite && mustFit;
    if (isGuarded) connection.exec(`SAVEPOINT ${GUARD}`);
    try {
      const result = connection.raw(sql, params, { ...bounds, deadlineMs: Number.POSITIVE_INFINITY });
      if (isGuarded) this.#endGuard(result.cut !== undefined);
      if (control === "rollback to") this.#copy.forget();
      const { cut, changes, lastInsertRowid } = result;
      const ran = { nature, columns: result.columns, ran: true, cut, changes, lastInsertRowid };
      return { ran, rows: result.rows };
    } catch (error) {
      if (isGuarded && connection.inTransaction) this.#endGuard(true);
      throw error;
    }
  }

  /** @throws SqlRefused, CompileError */
  describe(sql: string): Described {
    const { columns, isWrite } = this.#examine(sql);
    return { columns, isReadonly: !isWrite };
  }

  /** @throws what SQLite says: then nothing is committed, and the transaction is over */
  commit(): void {
    try {
      this.#opened().connection.exec("COMMIT");
    } finally {
      this.close();
    }
  }

  /** Whatever is not committed is undone. */
  close(): void {
    const { connection } = this.#open ?? {};
    this.#open = undefined;
    this.#copy.forget();
    if (connection?.inTransaction === true) connection.exec("ROLLBACK");
    connection?.close();
  }

  #opened(): Open {
    if (this.#open === undefined) throw new Error("Cannot run a statement: nothing is open");
    return this.#open;
  }

  #examine(sql: string): StatementNature & Pick<CompiledStatement, "columns"> {
    const { connection, access } = this.#opened();
    const { actions, columns } = this.#copy.compile(connection, sql, mayPragma);
    return { ...judge(sql, actions, access, namesOf(connection)), columns };
  }

  #endGuard(undo: boolean): void {
    const { connection } = this.#opened();
    if (undo) {
      connection.exec(`ROLLBACK TO ${GUARD}`);
      this.#copy.forget();
    }
    connection.exec(`RELEASE ${GUARD}`);
  }
}

function namesOf(connection: Connection): KnownNames {
  return {
    collections: new Set(
      connection.values("SELECT lower(name) FROM _collections").map(([name]) => String(name)),
    ),
    views: () =>
      new Map(
        connection
          .values("SELECT lower(name), sql FROM sqlite_schema WHERE type = 'view'")
          .map(([name, sql]) => [String(name), String(sql)]),
      ),
  };
}
