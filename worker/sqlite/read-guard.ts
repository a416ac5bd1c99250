import type { Database } from "bun:sqlite";
import type { RawBounds, RawResult, SqlReader, SqlRow, SqlValue } from "./contract.ts";
import { runRaw } from "./raw.ts";
import { type Statements, writesError } from "./statements.ts";

/** Reads on a connection that could write: a statement that would is refused. Shares the connection's statements. */
export class ReadGuard implements SqlReader {
  readonly #db: Database;
  readonly #statements: Statements;

  constructor(db: Database, statements: Statements) {
    this.#db = db;
    this.#statements = statements;
  }

  all<Row = SqlRow>(sql: string, params: readonly SqlValue[] = []): Row[] {
    return this.#statements.reading(sql).all(...params) as Row[];
  }

  get<Row = SqlRow>(sql: string, params: readonly SqlValue[] = []): Row | undefined {
    return (this.#statements.reading(sql).get(...params) ?? undefined) as Row | undefined;
  }

  values(sql: string, params: readonly SqlValue[] = []): SqlValue[][] {
    return this.#statements.reading(sql).values(...params);
  }

  raw(sql: string, params: readonly SqlValue[], bounds: RawBounds): RawResult {
    this.#statements.check();
    {
      using statement = this.#db.prepare(sql);
      if (!statement.readonly) throw writesError();
    }
    return runRaw(this.#db, sql, params, bounds);
  }
}
