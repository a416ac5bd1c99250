/** `POST /api/sql`: PocketBase's SQL console for superusers. */
import { limits } from "../../../shared/limits.ts";
import { firstWords, parameterNames, splitStatements } from "../../hrana/sql-tokens.ts";
import { builtSql } from "../../model/collections/sql-text.ts";
import { reasonOf } from "../../model/reason.ts";
import { ApiError, badRequest } from "../../pb/api-error.ts";
import { BLANK, failForm, formBody, formText, lengthError } from "../../pb/form-body.ts";
import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import { SystemError, UserError } from "../../../shared/errors.ts";
import type { SqlValue } from "../../sqlite/contract.ts";
import { StatementFailure } from "../../statements/failure.ts";
import type { StatementNature } from "../../statements/policy.ts";
import { readSql } from "../../statements/read.ts";
import { type RanWithRows, SqlTransaction } from "../../statements/transaction.ts";
import { storageFull } from "../../tenant/quota.ts";
import { goFloat } from "./go-float.ts";
import { modelChanged } from "./model-changed.ts";

export const consoleRoutes: readonly FeatureRoute[] = [{ method: "POST", path: "/api/sql", handle: runSql }];

interface ConsoleResult {
  execTime: number;
  affectedRows: number;
  columns: { name: string; type: string; nullable: boolean }[];
  rows: (string | null)[][];
}

/** Statements that PocketBase runs without looking for rows: what they return is not shown. */
const WITHOUT_ROWS = ["INSERT", "CREATE", "UPDATE", "DELETE", "DROP", "DETACH", "ALTER", "REPLACE"];

async function runSql(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const body = await formBody(context);
  const query = formText(context, body, "query");
  failForm({ query: query === "" ? BLANK : lengthError(query, 0, limits.sqlConsoleBytesMax) });
  try {
    return context.json(200, await execute(context, query.trim()));
  } catch (error) {
    if (error instanceof ApiError || error instanceof SystemError || error instanceof UserError) throw error;
    const { quota } = context.tenant;
    if (quota !== undefined && error instanceof StatementFailure && error.code === "SQLITE_FULL") {
      throw storageFull("write", quota.bytesMax);
    }
    throw badRequest(`Failed to execute query. Raw error:\n${reasonOf(error)}`);
  }
}

/** SQLite reads no further than a NUL. */
const AFTER_NUL = /\0[\s\S]*/;

async function execute(context: PbContext, query: string): Promise<ConsoleResult> {
  if (query === "") throw new Error("empty query");
  // As it was sent: a comment behind the last column belongs to its name.
  const text = builtSql(query).replace(AFTER_NUL, "");
  const written = text.includes(";") ? splitStatements(text) : firstWords(text, 1).length > 0 ? [text] : [];
  written.forEach(refuseParameters);
  const statements = withoutTransaction(written);
  const startMs = performance.now();
  const ran = (await readAll(context, statements)) ?? (await writeAll(context, statements));
  // COMMIT came last, and has no rows.
  if (statements !== written) ran.last = undefined;
  const execTime = Math.floor(performance.now() - startMs);
  const showsRows = !WITHOUT_ROWS.some((word) => query.toUpperCase().startsWith(word));
  return {
    execTime,
    affectedRows: showsRows ? 0 : (ran.affectedRows ?? (await changesBefore(context))),
    columns: showsRows
      ? (ran.last?.columns ?? []).map(({ name, declaredType }) => ({
          name,
          type: (declaredType ?? "").toUpperCase(),
          nullable: true,
        }))
      : [],
    rows: showsRows ? (ran.last?.rows ?? []).map((row) => row.map(textOf)) : [],
  };
}

/** @throws Error for a parameter, to which nothing can be bound here */
function refuseParameters(statement: string): void {
  const names = parameterNames(statement);
  if (names.length === 0) return;
  const index = names.indexOf(null);
  throw new Error(
    index >= 0
      ? `missing argument with index ${index + 1}`
      : `missing named argument "${names[0]?.slice(1)}"`,
  );
}

const BEGIN = /^BEGIN(?: (?:DEFERRED|IMMEDIATE|EXCLUSIVE))?(?: TRANSACTION)?$/;
const COMMIT = /^(?:COMMIT|END)(?: TRANSACTION)?$/;

/** A script that is one transaction as a whole runs in ours. */
function withoutTransaction(statements: readonly string[]): readonly string[] {
  const [first = "", last = ""] = [statements[0], statements.at(-1)];
  const isWhole = BEGIN.test(firstWords(first, 4).join(" ")) && COMMIT.test(firstWords(last, 3).join(" "));
  return isWhole ? statements.slice(1, -1) : statements;
}

interface RanAll {
  last: RanWithRows | undefined;
  /** Undefined when no statement has changed rows. */
  affectedRows: number | undefined;
}

/** What `changes()` of PocketBase's one writing connection tells: the rows of the newest change, here and by the API. */
interface Changes {
  affectedRows: number;
  /** Of the API's connection, when it was the console that changed something. */
  total: number;
}
const changesSlot = { create: (): Changes => ({ affectedRows: 0, total: -1 }) };

async function changesBefore({ tenant, seen }: PbContext): Promise<number> {
  const known = tenant.slot(changesSlot);
  const [changes, total] = await countsOf(tenant, seen);
  return total === known.total ? known.affectedRows : changes;
}

async function countsOf({ data }: PbContext["tenant"], seen: PbContext["seen"]): Promise<[number, number]> {
  const counts = await data.write(seen, (tx) => tx.values("SELECT changes(), total_changes()")[0]);
  return [Number(counts?.[0]), Number(counts?.[1])];
}

/** Undefined when one of them writes: then all of them belong into one transaction. */
async function readAll(
  { tenant, seen }: PbContext,
  statements: readonly string[],
): Promise<RanAll | undefined> {
  return readSql(tenant, seen, "full", async (reader) => {
    let last: RanWithRows | undefined;
    for (const statement of statements) {
      const ran = await reader.run(statement, [], BOUNDS);
      checkControl(ran.nature, statement);
      if (!ran.ran) return undefined;
      last = checked(ran);
    }
    return { last, affectedRows: undefined };
  });
}

async function writeAll({ tenant, seen }: PbContext, statements: readonly string[]): Promise<RanAll> {
  const transaction = await SqlTransaction.begin(tenant, seen, {
    access: "full",
    deferForeignKeys: false,
    onModelChanged: () => modelChanged(tenant),
  });
  const all: RanAll = { last: undefined, affectedRows: undefined };
  try {
    for (const statement of statements) {
      const how = { bounds: BOUNDS, mayNest: false, mustFit: false };
      const ran = await transaction.run(statement, [], how);
      checkControl(ran.nature, statement);
      all.last = checked(ran);
      if (ran.nature.changesRows) all.affectedRows = ran.changes;
    }
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
  await transaction.commit();
  if (all.affectedRows !== undefined) {
    const known = tenant.slot(changesSlot);
    known.affectedRows = all.affectedRows;
    [, known.total] = await countsOf(tenant, seen);
  }
  return all;
}

const BOUNDS = { rowsMax: limits.sqlConsoleRowsMax, bytesMax: limits.sqlResultBytesMax };

/** More rows than are shown are no fault. */
function checked(ran: RanWithRows): RanWithRows {
  if (ran.cut === "bytes") throw new Error("the rows are too large");
  return ran;
}

const NO_TRANSACTION = "SQL logic error: cannot rollback - no transaction is active (1)";

function checkControl({ control, foreignKeys }: StatementNature, statement: string): void {
  if (foreignKeys !== undefined) throw new Error("PRAGMA foreign_keys cannot be set here");
  if (control === undefined) return;
  const [word] = firstWords(statement, 1);
  if (control === "rollback") throw new Error(NO_TRANSACTION);
  throw new Error(`${word} is not allowed here: statements run in a transaction already`);
}

/** As Go's database/sql scans any value into a string. */
function textOf(value: SqlValue): string | null {
  if (value === null) return null;
  if (typeof value === "number") return goFloat(value);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  return String(value);
}
