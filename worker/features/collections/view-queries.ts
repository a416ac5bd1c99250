/**
 * Queries of views, tried in a process before the worker itself sees them: some take for ever even to compile (views over views,
 * each naming the one before twice), and sample rows may take any time.
 */
import { limits } from "../../../shared/limits.ts";
import { builtSql } from "../../model/collections/sql-text.ts";
import { singleStatement } from "../../model/collections/view-query.ts";
import type { ViewSamples } from "../../model/contract.ts";
import { badRequest } from "../../pb/api-error.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SqlRow } from "../../sqlite/contract.ts";
import { StatementFailure } from "../../statements/failure.ts";
import { planElsewhere, selectElsewhere } from "../../statements/read.ts";

/**
 * @param bodies - of collections as they were sent
 * @param keeps - failures of a query that are told; without one in `samples` a query passes
 * @throws ApiError 400 for a query that must not be compiled here
 */
export async function tryViewQueries(
  context: PbContext,
  bodies: readonly Readonly<Record<string, unknown>>[],
  what: string,
  keeps: (failure: StatementFailure) => boolean,
): Promise<ViewSamples> {
  const samples = new Map<string, readonly SqlRow[] | Error>();
  for (const { viewQuery } of bodies) {
    if (typeof viewQuery !== "string" || viewQuery.trim() === "") continue;
    const sample = await tryQuery(context, viewQuery, what);
    if (sample !== undefined && (!(sample instanceof StatementFailure) || keeps(sample)))
      samples.set(viewQuery, sample);
  }
  return samples;
}

/** Undefined for a query that cannot be compiled: what is wrong with it is told when it is saved. */
async function tryQuery(
  { tenant, seen }: PbContext,
  query: string,
  what: string,
): Promise<SqlRow[] | StatementFailure | undefined> {
  let sql: string;
  let tookMs: number;
  try {
    sql = builtSql(`SELECT * FROM (${singleStatement(query)})`);
    ({ tookMs } = await planElsewhere(tenant, seen, sql));
  } catch (error) {
    if (!isStopped(error)) return undefined;
    [sql, tookMs] = ["", Infinity];
  }
  if (tookMs > limits.viewCompileMs) {
    const message = "Invalid query - it takes too long to be compiled.";
    throw badRequest(what, { viewQuery: { code: "validation_invalid_view_query", message } });
  }
  try {
    const select = { sql: `${sql} LIMIT ${limits.viewSampleRows}`, params: [], shape: "objects" } as const;
    return (await selectElsewhere(tenant, seen, select, limits.queryMs)) as SqlRow[];
  } catch (error) {
    if (error instanceof StatementFailure) return error;
    throw error;
  }
}

export const isStopped = (error: unknown): boolean =>
  error instanceof StatementFailure && (error.code === "SQLITE_INTERRUPT" || error.code === "SQLITE_NOMEM");
