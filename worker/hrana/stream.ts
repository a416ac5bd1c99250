import { SystemError, UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { SqlValue } from "../sqlite/contract.ts";
import type {
  HranaBatch,
  HranaCondition,
  HranaError,
  HranaRequest,
  HranaResult,
  HranaStatement,
} from "./messages.ts";
import { SqlRefused } from "../statements/refused.ts";
import type { SqlSession } from "./session.ts";
import { withReals, withoutReals } from "./real-parameters.ts";
import { parameterNames, splitStatements } from "./sql-tokens.ts";
import { encodeRows } from "./json-pieces.ts";
import { decodeValue } from "./value.ts";

export interface BatchResult {
  step_results: (HranaResult | null)[];
  step_errors: (HranaError | null)[];
}

/** One Hrana stream: a SQL session and the texts that the client stored in it. Requests of one stream come one after another. */
export class HranaStream {
  readonly session: SqlSession;
  readonly #texts = new Map<number, string>();
  #answerBytes = 0;
  isClosed = false;

  constructor(session: SqlSession) {
    this.session = session;
  }

  /** A new request of the client: its answers are bounded together. */
  startAnswer(): void {
    this.#answerBytes = 0;
  }

  /** Never throws for what the client or SQLite did: that is an answer. @throws SystemError */
  async answer(
    request: HranaRequest,
  ): Promise<{ type: "ok"; response: unknown } | { type: "error"; error: HranaError }> {
    try {
      return { type: "ok", response: { type: request.type, ...(await this.#respond(request)) } };
    } catch (error) {
      return { type: "error", error: toHranaError(error) };
    }
  }

  async #respond(request: HranaRequest): Promise<Record<string, unknown>> {
    switch (request.type) {
      case "close":
        await this.close();
        return {};
      case "execute":
        return { result: await this.#execute(request.stmt) };
      case "batch":
        return { result: await this.batch(request.batch) };
      case "sequence":
        for (const sql of splitStatements(this.#text(request))) await this.session.execute(sql, []);
        return {};
      case "describe":
        return { result: await this.#describe(this.#text(request)) };
      case "store_sql":
        if (this.#texts.size >= limits.sqlStoredTextsMax)
          throw new SqlRefused("SQL_STORE_FULL", `A stream keeps at most ${limits.sqlStoredTextsMax} texts`);
        if (this.#texts.has(request.sql_id))
          throw new SqlRefused("SQL_STORE_EXISTS", `There is a stored text ${request.sql_id} already`);
        this.#texts.set(request.sql_id, request.sql);
        return {};
      case "close_sql":
        this.#texts.delete(request.sql_id);
        return {};
      case "get_autocommit":
        return { is_autocommit: this.session.isAutocommit };
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.session.close();
  }

  async batch(batch: HranaBatch): Promise<BatchResult> {
    const results: (HranaResult | null)[] = [];
    const errors: (HranaError | null)[] = [];
    for (const { condition, stmt } of batch.steps) {
      let result: HranaResult | null = null;
      let error: HranaError | null = null;
      if (condition === null || condition === undefined || this.#holds(condition, results, errors)) {
        try {
          result = await this.#execute(stmt);
        } catch (failure) {
          result = null;
          error = toHranaError(failure);
        }
      }
      results.push(result);
      errors.push(error);
    }
    return { step_results: results, step_errors: errors };
  }

  #holds(
    condition: HranaCondition,
    results: readonly (HranaResult | null)[],
    errors: readonly (HranaError | null)[],
  ): boolean {
    switch (condition.type) {
      case "ok":
        return (results[condition.step] ?? null) !== null;
      case "error":
        return (errors[condition.step] ?? null) !== null;
      case "not":
        return !this.#holds(condition.cond, results, errors);
      case "and":
        return condition.conds.every((cond) => this.#holds(cond, results, errors));
      case "or":
        return condition.conds.some((cond) => this.#holds(cond, results, errors));
      case "is_autocommit":
        return this.session.isAutocommit;
    }
  }

  async #execute(stmt: HranaStatement): Promise<HranaResult> {
    const sql = this.#text(stmt);
    checkSingle(sql);
    const startMs = performance.now();
    const values = bindValues(sql, stmt);
    const result = await this.session.execute(withReals(sql, values), values);
    const wantsRows = stmt.want_rows !== false;
    const answer: HranaResult = {
      cols: result.columns.map(({ name, declaredType }) => ({
        name: withoutReals(name),
        decltype: declaredType,
      })),
      rows: wantsRows ? await encodeRows(result.rows) : [],
      affected_row_count: result.affectedRows,
      last_insert_rowid: result.lastInsertRowid?.toString() ?? null,
      rows_read: result.rows.length,
      rows_written: result.affectedRows,
      query_duration_ms: Math.round((performance.now() - startMs) * 1000) / 1000,
    };
    this.#answerBytes += roughSize(answer);
    if (this.#answerBytes > limits.sqlResponseBytesMax)
      throw new SqlRefused("RESPONSE_TOO_LARGE", "The answers of this request are too large together");
    return answer;
  }

  async #describe(sql: string): Promise<unknown> {
    checkSingle(sql);
    const { parameters, columns, isExplain, isReadonly } = await this.session.describe(sql);
    return {
      params: parameters.map((name) => ({ name })),
      cols: columns.map(({ name, declaredType }) => ({ name, decltype: declaredType })),
      is_explain: isExplain,
      is_readonly: isReadonly,
    };
  }

  #text({ sql, sql_id }: { sql?: string | null | undefined; sql_id?: number | null | undefined }): string {
    if (typeof sql === "string" && typeof sql_id === "number")
      throw new SqlRefused("SQL_AMBIGUOUS", "The request has both an SQL text and a stored one");
    const text = sql ?? (sql_id === null || sql_id === undefined ? undefined : this.#texts.get(sql_id));
    if (text === undefined)
      throw new SqlRefused("SQL_MISSING", "The request has no SQL text, or an unknown stored one");
    return text;
  }
}

/** Positional values first, then named ones, whose `:`, `@` or `$` may be left out. Every parameter needs one, and no more. */
function bindValues(sql: string, { args, named_args }: HranaStatement): SqlValue[] {
  const values: (SqlValue | undefined)[] = (args ?? []).map(decodeValue);
  const names = parameterNames(sql);
  if (values.length > names.length)
    throw new SqlRefused(
      "ARGS_INVALID",
      `The statement has ${names.length} parameters, not ${values.length}`,
    );
  for (const { name, value } of named_args ?? []) {
    const index = names.findIndex((known) => known !== null && (known === name || known.slice(1) === name));
    if (index < 0) throw new SqlRefused("ARGS_INVALID", `The statement has no parameter ${name}`);
    values[index] = decodeValue(value);
  }
  return names.map((name, index) => {
    const value = values[index];
    // A number that no `?N` of the statement uses is a parameter of SQLite's, but nobody's to give.
    if (value !== undefined || isSkipped(names, index)) return value ?? null;
    throw new SqlRefused("ARGS_INVALID", `The parameter ${name ?? index + 1} has no value`);
  });
}

/** In `?1, ?3` there is no second one. */
function isSkipped(names: readonly (string | null)[], index: number): boolean {
  return names[index] === null && names.slice(index + 1).some((later) => later?.startsWith("?") === true);
}

/** @throws SqlRefused for none or several: only the first would run */
function checkSingle(sql: string): void {
  const statements = splitStatements(sql).length;
  if (statements === 0) throw new SqlRefused("SQL_NO_STATEMENT", "The SQL text has no statement");
  if (statements > 1) throw new SqlRefused("SQL_MANY_STATEMENTS", "The SQL text has more than one statement");
}

export function toHranaError(error: unknown): HranaError {
  if (error instanceof SqlRefused) return { message: error.message, code: error.code };
  if (error instanceof UserError || error instanceof SystemError) {
    return { message: error.message, code: error.code.toUpperCase() };
  }
  const { message, code } = error as { message?: unknown; code?: unknown };
  const known = typeof code === "string" && code.startsWith("SQLITE_") ? code : "SQLITE_ERROR";
  return { message: `SQLite error: ${String(message)}`, code: known };
}

function roughSize({ rows }: HranaResult): number {
  let bytes = 0;
  for (const row of rows) {
    for (const value of row) {
      const text = value.type === "blob" ? value.base64 : value.type === "text" ? value.value : "";
      bytes += 40 + text.length;
    }
  }
  return bytes;
}
