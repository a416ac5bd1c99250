/** What a Hrana stream needs below it: one connection's worth of SQL. worker/features/sql gives it a tenant's database. */
import type { SqlValue } from "../sqlite/contract.ts";

export interface SessionResult {
  columns: { name: string; declaredType: string | null }[];
  rows: SqlValue[][];
  affectedRows: number;
  /** Undefined when the statement did not write rows. */
  lastInsertRowid: bigint | undefined;
}

export interface SessionDescription {
  parameters: (string | null)[];
  columns: { name: string; declaredType: string | null }[];
  isExplain: boolean;
  isReadonly: boolean;
}

export interface SqlSession {
  readonly isAutocommit: boolean;
  /** One statement, transaction control included. @throws what SQLite says, SqlRefused, SystemError */
  execute(sql: string, params: readonly SqlValue[]): Promise<SessionResult>;
  describe(sql: string): Promise<SessionDescription>;
  /** Rolls an open transaction back. */
  close(): Promise<void>;
}
