/** `POST /api/sql`: PocketBase's SQL console for superusers. */
import { limits } from "../../../shared/limits.ts";
import { firstWords, splitStatements } from "../../hrana/sql-tokens.ts";
import { reasonOf } from "../../model/reason.ts";
import { ApiError, badRequest } from "../../pb/api-error.ts";
import { BLANK, failForm, formBody, formText } from "../../pb/form-body.ts";
import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import { SystemError, UserError } from "../../../shared/errors.ts";
import type { RawResult, SqlReader, SqlValue } from "../../sqlite/contract.ts";
import { goFloat } from "./go-float.ts";
import type { StatementNature } from "./policy.ts";
import { type TenantSql, sqlOf } from "./tenant-sql.ts";

export const consoleRoutes: readonly FeatureRoute[] = [{ method: "POST", path: "/api/sql", handle: runSql }];

interface ConsoleResult {
  execTime: number;
  affectedRows: number;
  columns: { name: string; type: string; nullable: boolean }[];
  rows: (string | null)[][];
}

/** Statements that PocketBase runs without looking for rows: what they return is not shown. */
const WITHOUT_ROWS = ["INSERT", "CREATE", "UPDATE", "DELETE", "DROP", "DETACH"];

async function runSql(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const body = await formBody(context);
  const query = formText(context, body, "query");
  failForm({ query: query === "" ? BLANK : tooLong(query) });
  try {
    return context.json(200, await execute(context, query.trim()));
  } catch (error) {
    if (error instanceof ApiError || error instanceof SystemError || error instanceof UserError) throw error;
    throw badRequest(`Failed to execute query. Raw error:\n${reasonOf(error)}`);
  }
}

function tooLong(query: string) {
  if (Array.from(query).length <= limits.sqlConsoleCharactersMax) return undefined;
  const max = limits.sqlConsoleCharactersMax;
  return {
    code: "validation_length_too_long",
    message: `The length must be no more than ${max}.`,
    params: { max, min: 0 },
  };
}

async function execute({ tenant, seen }: PbContext, query: string): Promise<ConsoleResult> {
  if (query === "") throw new Error("empty query");
  const statements = splitStatements(query);
  const sql = sqlOf(tenant);
  const startMs = performance.now();
  const writes = tenant.data.read(seen, (db) => isWriting(sql, db, statements));
  const ran = writes ? await write() : await read();
  const execTime = Math.floor(performance.now() - startMs);
  const showsRows = !WITHOUT_ROWS.some((word) => query.toUpperCase().startsWith(word));
  return {
    execTime,
    affectedRows: showsRows ? 0 : ran.affectedRows,
    columns: showsRows
      ? (ran.last?.columns ?? []).map(({ name, declaredType }) => ({
          name,
          type: (declaredType ?? "").toUpperCase(),
          nullable: true,
        }))
      : [],
    rows: showsRows ? (ran.last?.rows ?? []).map((row) => row.map(textOf)) : [],
  };

  async function read(): Promise<Ran> {
    let last: RawResult | undefined;
    for (const statement of statements) {
      tenant.data.read(seen, (db) => checkControl(sql.examine(db, statement, "full"), statement));
      const result = checked(await sql.read(seen, statement, [], "full", BOUNDS));
      if (result.columns.length > 0) last = result;
    }
    return { last, affectedRows: 0, touchesModel: false };
  }

  async function write(): Promise<Ran> {
    try {
      return await tenant.data.write(seen, (tx) => {
        const result = runAll(sql, tx, statements);
        if (result.touchesModel) tx.afterCommit(() => sql.changed());
        return result;
      });
    } catch (error) {
      sql.undone();
      throw error;
    }
  }
}

interface Ran {
  /** Of the last statement that returns rows. */
  last: RawResult | undefined;
  affectedRows: number;
  touchesModel: boolean;
}

/** A statement that only compiles after the ones before it have run is one of several: then they write. */
function isWriting(sql: TenantSql, db: SqlReader, statements: readonly string[]): boolean {
  return statements.some((statement, index) => {
    try {
      return sql.examine(db, statement, "full").isWrite;
    } catch (error) {
      if (index === 0) throw error;
      return false;
    }
  });
}

function runAll(sql: TenantSql, db: SqlReader, statements: readonly string[]): Ran {
  const ran: Ran = { last: undefined, affectedRows: 0, touchesModel: false };
  for (const statement of statements) {
    const nature = sql.examine(db, statement, "full");
    checkControl(nature, statement);
    const deadlineMs = performance.now() + limits.sqlStatementMs;
    const result = checked(db.raw(statement, [], { ...BOUNDS, deadlineMs }));
    if (result.columns.length > 0) ran.last = result;
    if (nature.changesRows) ran.affectedRows = result.changes;
    ran.touchesModel ||= nature.touchesModel;
  }
  return ran;
}

const BOUNDS = { rowsMax: limits.sqlConsoleRowsMax, bytesMax: limits.sqlResultBytesMax };

/** More rows than are shown are no fault. */
function checked(result: RawResult): RawResult {
  if (result.cut === "time") throw new Error("the statement took too long");
  if (result.cut === "bytes") throw new Error("the rows are too large");
  return result;
}

function checkControl({ control, foreignKeys }: StatementNature, statement: string): void {
  if (foreignKeys !== undefined) throw new Error("PRAGMA foreign_keys cannot be set here");
  if (control === undefined) return;
  const [word] = firstWords(statement, 1);
  throw new Error(`${word} is not allowed here: statements run in a transaction already`);
}

/** As Go's database/sql scans any value into a string. */
function textOf(value: SqlValue): string | null {
  if (value === null) return null;
  if (typeof value === "number") return goFloat(value);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  return String(value);
}
