/** Statements of the worker's own making, each on a read-only connection that sees the newest commit and nothing after it. */
import type { SqlRow, SqlValue } from "../sqlite/contract.ts";
import { explain } from "./explain.ts";
import { openReader } from "../sqlite/open.ts";
import { SQL_FUNCTIONS } from "../query/functions.ts";
import type { PlanRow, SelectQuestion } from "./messages.ts";

export function select({ path, sql, params, shape, bounds }: SelectQuestion): {
  rows: (SqlValue[] | SqlRow)[];
  cut: "rows" | "bytes" | undefined;
} {
  const connection = openReader(path, { functions: SQL_FUNCTIONS });
  try {
    const rows: (SqlValue[] | SqlRow)[] =
      shape === "arrays" ? connection.values(sql, params) : connection.all(sql, params);
    if (rows.length > bounds.rowsMax) return { rows: [], cut: "rows" };
    let bytes = 0;
    for (const row of rows) {
      for (const value of Object.values(row)) bytes += typeof value === "string" ? value.length : 8;
      if (bytes > bounds.bytesMax) return { rows: [], cut: "bytes" };
    }
    return { rows, cut: undefined };
  } finally {
    connection.close();
  }
}

/** How SQLite would run it, and how long it took to find out: a view over views may take for ever to compile. */
export function planOf(path: string, sql: string): { type: "planned"; plan: PlanRow[]; tookMs: number } {
  const connection = openReader(path, { functions: SQL_FUNCTIONS });
  try {
    const startMs = performance.now();
    const plan = explain(connection, sql);
    return { type: "planned", plan, tookMs: performance.now() - startMs };
  } finally {
    connection.close();
  }
}
