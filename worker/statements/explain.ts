import type { SqlReader } from "../sqlite/contract.ts";
import type { PlanRow } from "./messages.ts";

/** SQLite's plan of a statement. By `raw`, because bun:sqlite leaves a cached EXPLAIN open, and with it a snapshot for ever. */
export function explain(db: SqlReader, sql: string): PlanRow[] {
  const bounds = { rowsMax: 100_000, bytesMax: Infinity, deadlineMs: Infinity };
  return db.raw(`EXPLAIN QUERY PLAN ${sql}`, [], bounds).rows.map(([id, parent, , detail]) => ({
    id: Number(id),
    parent: Number(parent),
    detail: String(detail),
  }));
}
