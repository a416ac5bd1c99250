/** Reads of a tenant's data.db in a process that is killed when they take too long. */
import { limits } from "../../shared/limits.ts";
import type { SqlRow, SqlValue } from "../sqlite/contract.ts";
import type { FileVisit, Observation, Tenant } from "../tenant/contract.ts";
import { StatementFailure } from "./failure.ts";
import type { Described, PlanRow, SelectQuestion, StatementBounds } from "./messages.ts";
import type { SqlAccess } from "./policy.ts";
import { readerPool } from "./pool.ts";
import type { StatementProcess } from "./statement-process.ts";
import type { RanWithRows } from "./transaction.ts";

/**
 * Runs statements of unknown text on one snapshot. One that is not a read is not run.
 * @throws SqlRefused, StatementFailure, SystemError
 */
export async function readSql<T>(
  tenant: Tenant,
  seen: Observation,
  access: SqlAccess,
  use: (reader: SqlSnapshot) => Promise<T>,
): Promise<T> {
  return withReader(tenant, seen, async (process, path) => {
    const open = { type: "open", path, access, writes: false, deferForeignKeys: false } as const;
    await process.ask(open, limits.sqlReadMs);
    try {
      return await use(new SqlSnapshot(process));
    } finally {
      if (!process.isEnded) await process.ask({ type: "close" }, limits.sqlReadMs);
    }
  });
}

/** What a process has open for `readSql`. */
export class SqlSnapshot {
  readonly #process: StatementProcess;

  constructor(process: StatementProcess) {
    this.#process = process;
  }

  async run(sql: string, params: readonly SqlValue[], bounds: StatementBounds): Promise<RanWithRows> {
    const question = { type: "run", sql, params, bounds, mayNest: false, mustFit: true } as const;
    const { told, rows } = await this.#process.ask(question, limits.sqlReadMs);
    if (told.type !== "ran") throw new Error("Cannot run a statement: its process said something else");
    return { ...told.ran, rows: rows as SqlValue[][] };
  }

  async describe(sql: string): Promise<Described> {
    const { told } = await this.#process.ask({ type: "describe", sql }, limits.sqlReadMs);
    if (told.type !== "described") throw new Error("Cannot describe: its process said something else");
    return told.described;
  }
}

/** A statement of the worker's own making. @throws StatementFailure, SystemError */
export function selectElsewhere(
  tenant: Tenant,
  seen: Observation,
  { sql, params, shape }: Pick<SelectQuestion, "sql" | "params" | "shape">,
  limitMs: number,
): Promise<(SqlRow | SqlValue[])[]> {
  const startMs = performance.now();
  const run = async (process: StatementProcess, path: string): Promise<(SqlRow | SqlValue[])[]> => {
    const bounds = { rowsMax: limits.sqlRowsMax, bytesMax: limits.queryResultBytesMax };
    const question = { type: "select", path, sql, params, shape, bounds } as const;
    // Who had to wait has less left.
    const leftMs = Math.max(limits.queryMsMin, limitMs - (performance.now() - startMs));
    const { told, rows } = await process.ask(question, Math.min(limitMs, leftMs));
    if (told.type !== "selected" || told.cut !== undefined)
      throw new StatementFailure("The rows are too large together", 18, "SQLITE_TOOBIG");
    return rows;
  };
  return withReader(tenant, seen, run, limitMs);
}

/** How SQLite would run a statement that may take long even to compile. @throws StatementFailure, SystemError */
export function planElsewhere(
  tenant: Tenant,
  seen: Observation,
  sql: string,
): Promise<{ plan: PlanRow[]; tookMs: number }> {
  return withReader(tenant, seen, async (process, path) => {
    const question = { type: "plan", path, sql } as const;
    const { told } = await process.ask(question, limits.queryPlanMs);
    if (told.type !== "planned") throw new Error("Cannot plan a statement: its process said something else");
    return told;
  });
}

async function withReader<T>(
  tenant: Tenant,
  seen: Observation,
  use: (process: StatementProcess, path: string) => Promise<T>,
  waitMs: number = limits.sqlWaitMsMax,
): Promise<T> {
  const pool = readerPool();
  const process = await pool.lease(tenant.id, waitMs);
  const kill = (): void => void process.kill("The tenant has left this worker");
  tenant.gone.addEventListener("abort", kill, { once: true });
  let visit: FileVisit | undefined;
  try {
    visit = tenant.data.visit();
    return await use(process, visit.path);
  } finally {
    visit?.left();
    tenant.gone.removeEventListener("abort", kill);
    pool.release(process);
    // It may have seen a newer commit than any that was noted.
    if (!tenant.gone.aborted) tenant.data.read(seen, () => undefined);
  }
}
