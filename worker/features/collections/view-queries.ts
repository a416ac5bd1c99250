/**
 * Queries of views, tried in a process before the worker itself sees them: some take for ever even to compile (views over views,
 * each naming the one before twice), and sample rows may take any time.
 */
import { limits } from "../../../shared/limits.ts";
import { singleStatement } from "../../model/collections/view-query.ts";
import { badRequest } from "../../pb/api-error.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SqlRow } from "../../sqlite/contract.ts";
import { StatementFailure } from "../../statements/failure.ts";
import { planElsewhere, selectElsewhere } from "../../statements/read.ts";

/** @param bodies - of collections as they were sent. @throws ApiError 400 */
export async function checkViewQueries(
  { tenant, seen }: PbContext,
  bodies: readonly Readonly<Record<string, unknown>>[],
  what: string,
): Promise<void> {
  for (const { viewQuery } of bodies) {
    if (typeof viewQuery !== "string" || viewQuery.trim() === "") continue;
    let tookMs: number;
    try {
      ({ tookMs } = await planElsewhere(tenant, seen, `SELECT * FROM (${singleStatement(viewQuery)})`));
    } catch (error) {
      // What is wrong with it is told when it is saved.
      tookMs = isStopped(error) ? Infinity : 0;
    }
    if (tookMs <= limits.viewCompileMs) continue;
    const message = "Invalid query - it takes too long to be compiled.";
    throw badRequest(what, { viewQuery: { code: "validation_invalid_view_query", message } });
  }
}

/** The first rows of a view with this query; none when it cannot be run. @throws StatementFailure when it takes too long */
export async function sampleRows({ tenant, seen }: PbContext, query: string): Promise<SqlRow[]> {
  try {
    const sql = `SELECT * FROM (${singleStatement(query)}) LIMIT ${limits.viewSampleRows}`;
    const select = { sql, params: [], shape: "objects" } as const;
    return (await selectElsewhere(tenant, seen, select, limits.queryMs)) as SqlRow[];
  } catch (error) {
    if (isStopped(error)) throw error;
    return [];
  }
}

const isStopped = (error: unknown): boolean =>
  error instanceof StatementFailure && (error.code === "SQLITE_INTERRUPT" || error.code === "SQLITE_NOMEM");
