import type { RawBounds, RawResult, SqlReader, SqlRow, SqlValue } from "../sqlite/contract.ts";

/**
 * What requests read a database by. Asks for a connection with every statement: while a transaction is open across turns it is
 * another one than before and after.
 */
export class Reading implements SqlReader {
  readonly #connection: () => SqlReader;

  constructor(connection: () => SqlReader) {
    this.#connection = connection;
  }

  all<Row = SqlRow>(sql: string, params?: readonly SqlValue[]): Row[] {
    return this.#connection().all<Row>(sql, params);
  }

  get<Row = SqlRow>(sql: string, params?: readonly SqlValue[]): Row | undefined {
    return this.#connection().get<Row>(sql, params);
  }

  values(sql: string, params?: readonly SqlValue[]): SqlValue[][] {
    return this.#connection().values(sql, params);
  }

  raw(sql: string, params: readonly SqlValue[], bounds: RawBounds): RawResult {
    return this.#connection().raw(sql, params, bounds);
  }
}
