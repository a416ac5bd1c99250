/**
 * What the record code sees of filters, rules and sorts. The language is pocketbase.md §6-7; parsing is in shared/filter/,
 * everything here turns it into SQLite SQL whose values are always bound parameters.
 */
import type { Collection, Schema } from "../../shared/schema/collection.ts";
import type { Filter } from "../../shared/filter/ast.ts";
import type { SqlReader, SqlValue } from "../sqlite/contract.ts";

/** Where a rule is evaluated: what `@request.context` says. */
export type RequestContext =
  | "default"
  | "oauth2"
  | "otp"
  | "password"
  | "realtime"
  | "protectedFile"
  | "expand"
  | "batch";

/** The signed-in record, with every field as the API would show it to a superuser (hidden ones and email included). */
export interface RequestAuth {
  readonly collection: Collection;
  readonly record: Readonly<Record<string, unknown>>;
}

/** What `@request.*` speaks of. */
export interface RequestInfo {
  readonly context: RequestContext;
  readonly method: string;
  /** Names in lower snake case: `X-Token` is `x_token`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  /** The submitted data, `+` and `-` modifiers already resolved. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly auth: RequestAuth | null;
}

export interface QueryContext {
  readonly schema: Schema;
  /** The collection whose records are selected. */
  readonly collection: Collection;
  readonly request: RequestInfo;
  /**
   * Hidden fields, hidden emails and relations to collections without list access may be used: true for rules and for
   * superusers. buildList applies this to the client's filter and sort only; its rule always may.
   */
  readonly allowHidden: boolean;
  /** `client`: text that came with the request, held to the limits and (unless allowHidden) refused `@request.` and `@collection.`. */
  readonly kind: "rule" | "client";
  readonly now: () => Date;
}

/** A condition to be put into a statement that selects `FROM "<collection>"`. */
export interface CompiledFilter {
  /** A complete boolean expression, already in parentheses where needed. */
  readonly where: string;
  /** For the `?` in `where`, in order. */
  readonly params: SqlValue[];
  /** `LEFT JOIN …` clauses for the FROM, "" when there are none; their own parameters come before those of `where`. */
  readonly joins: { readonly sql: string; readonly params: SqlValue[] };
  /** The joins may repeat a row: select DISTINCT. */
  readonly distinct: boolean;
}

export interface Statement {
  readonly sql: string;
  readonly params: SqlValue[];
}

export interface ListInput {
  /** The client's `filter`; absent or "" for none. */
  readonly filter?: string | undefined;
  /** The client's `sort`, e.g. `-created,title`. */
  readonly sort?: string | undefined;
  /** Normalised to 1 and more. */
  readonly page?: number | undefined;
  /** 30 when absent or not positive, at most 1000. */
  readonly perPage?: number | undefined;
  readonly skipTotal?: boolean | undefined;
  /** The list rule to hold the rows to; undefined, null or "" for none (the caller has refused a locked rule already). */
  readonly rule?: string | null | undefined;
  /** SQL of what to select instead of all columns; holds the id, so that equal rows stay apart. */
  readonly columns?: string | undefined;
}

export interface ListStatements {
  /** Rows with all columns of the table, or what `columns` asked for. */
  readonly items: Statement;
  /** One row, one column. Absent with skipTotal. */
  readonly count?: Statement;
  readonly page: number;
  readonly perPage: number;
}

/** A record that is not saved yet: every column of its table with the value that would be stored. */
export type NewRow = Readonly<Record<string, SqlValue>>;

// --- the functions, and where they are. All throw FilterError (shared/filter/error.ts) and nothing else of their own;
// SQLite may still refuse a statement when it runs (64 joined tables, malformed JSON): answer as for `invalid`.

/** worker/query/filter.ts: a condition to be put into a statement of the caller's. */
export type CompileFilter = (filter: Filter | string, context: QueryContext) => CompiledFilter;

/** worker/query/list.ts: the two statements of a list request. */
export type BuildList = (context: QueryContext, input: ListInput) => ListStatements;

/**
 * worker/query/rule.ts: one row, all columns, when the record exists and the rule ("" or null: none) holds for it.
 * `matchesRule` of the same file answers only whether, `selectByIds` takes many ids (in no order).
 */
export type SelectById = (context: QueryContext, rule: string | null, id: string) => Statement;
export type SelectByIds = (context: QueryContext, rule: string | null, ids: readonly string[]) => Statement;
export type MatchesRule = (db: SqlReader, context: QueryContext, rule: string | null, id: string) => boolean;

/**
 * worker/query/rule.ts: a statement that returns a row when the rule holds for the record that is about to be saved.
 * `verified` counts as false whatever the row says.
 */
export type CompileCreateRule = (context: QueryContext, rule: string, row: NewRow) => Statement;

export { FilterError, type FilterErrorKind } from "../../shared/filter/error.ts";
