import { parseFilter } from "../../shared/filter/parse.ts";
import { limits } from "../../shared/limits.ts";
import type { Collection } from "../../shared/schema/collection.ts";
import { joinClauses } from "./compare.ts";
import type { BuildList, ListInput, QueryContext } from "./contract.ts";
import { Decisions } from "./decisions.ts";
import { checkClientText, checkReserved, environment } from "./filter.ts";
import { type Env, type Fragment, bind, join, quote, raw, sql } from "./fragment.ts";
import {
  cachedPlan,
  clientExpression,
  clientScope,
  guardExpressions,
  multiplies,
  ruleExpression,
  where,
} from "./plan.ts";
import { StatementBuilder } from "./scope.ts";
import { sortExpressions } from "./sort.ts";

interface ListPlan {
  readonly items: Fragment;
  /** What comes after its LIMIT. */
  readonly tail: string;
  readonly count: Fragment;
  /** The last page size's statement, kept whole so that the connection finds it by the same string. */
  paged: { readonly perPage: number; readonly first: boolean; readonly sql: string } | undefined;
}

/**
 * The statements of a list request: a page of rows, and the number of all.
 * @throws FilterError when the rule, the filter or the sort cannot be used.
 */
export const buildList: BuildList = (context, input) => {
  const { schema, collection, allowHidden } = context;
  const text = input.filter ?? "";
  const sort = input.sort ?? "";
  const rule = input.rule ?? "";
  if (text === "" && sort === "" && rule === "") return paged(plainPlan(context, input), input, undefined);
  if (sort !== "") checkReserved(sort, context);
  if (text !== "") checkClientText(text, context);
  const filter = text === "" ? undefined : parseFilter(text);
  const env = environment(context, filter?.literals);
  const { columns } = input;
  const key = `list ${columns === undefined} ${collection.id} ${allowHidden} ${rule}\n${filter?.shape ?? ""}\n${sort}`;
  const plan = cachedPlan<ListPlan>(schema, key, env, (statement) =>
    planList(statement, context, { ...input, rule }),
  );
  return paged(plan, input, env);
};

/** Of everything: it depends on nothing else of a request. */
const plainPlans = new WeakMap<Collection, { columns: string | undefined; plan: ListPlan }>();

function plainPlan(context: QueryContext, input: ListInput): ListPlan {
  const { schema, collection } = context;
  const { columns } = input;
  const known = plainPlans.get(collection);
  if (known !== undefined && known.columns === columns) return known.plan;
  const statement = new StatementBuilder(schema, new Decisions(environment(context)));
  const plan = planList(statement, context, { columns });
  plainPlans.set(collection, { columns, plan });
  return plan;
}

/** @param env - undefined for a plan without parameters */
function paged(plan: ListPlan, input: ListInput, env: Env | undefined): ReturnType<BuildList> {
  const page = Math.max(1, Math.trunc(input.page ?? 1));
  const perPage = pageSize(input.perPage);
  const items = env === undefined ? [] : bind(plan.items.params, env);
  if (page > 1) items.push(offsetOf(page, perPage));
  return {
    items: { sql: pagedSql(plan, perPage, page === 1), params: items },
    ...(input.skipTotal === true
      ? {}
      : { count: { sql: plan.count.sql, params: env === undefined ? [] : bind(plan.count.params, env) } }),
    page,
    perPage,
  };
}

/** SQLite prepares a statement with a bare parameter in LIMIT or OFFSET anew for each value: the size is text, the offset an expression. */
function pagedSql(plan: ListPlan, perPage: number, first: boolean): string {
  if (plan.paged?.perPage !== perPage || plan.paged.first !== first) {
    const sql = `${plan.items.sql} LIMIT ${perPage}${first ? "" : " OFFSET (? + 0)"}${plan.tail}`;
    plan.paged = { perPage, first, sql };
  }
  return plan.paged.sql;
}

/** Overflows as Go's 64 bits do: SQLite takes a negative offset for none. */
function offsetOf(page: number, perPage: number): number {
  const offset = Number(BigInt.asIntN(64, BigInt(perPage) * BigInt(page - 1)));
  return Math.min(offset, Number.MAX_SAFE_INTEGER);
}

function pageSize(asked: number | undefined): number {
  const size = Math.trunc(asked ?? 0);
  return size <= 0 ? limits.pageSizeDefault : Math.min(size, limits.pageSizeMax);
}

function planList(statement: StatementBuilder, context: QueryContext, input: ListInput): ListPlan {
  const { collection, allowHidden } = context;
  const table = quote(collection.name);
  const base = { base: collection, alias: collection.name };
  const conditions: Fragment[] = [];
  // PocketBase selects DISTINCT whenever it joins. SQLite then walks a unique index, so without a sort that is the order
  // clients see; with a sort the rows come as they would anyway, and only joins that repeat rows need it.
  statement.detach = Boolean(input.sort);
  if (input.rule) conditions.push(ruleExpression(statement, input.rule, { ...base, allowHidden: true }));
  const client = { ...base, allowHidden };
  if (input.filter) conditions.push(clientExpression(statement, parseFilter(input.filter), client));
  const conditionGuards = guardExpressions(statement);
  const conditionJoins = statement.joins();
  const guardedBefore = statement.guarded.size;
  const order = input.sort ? sortExpressions(input.sort, clientScope(statement, client)) : [];
  // A relation that is only sorted by leaves the number of rows as it is, unless a list rule comes with it.
  const guards = statement.guarded.size === guardedBefore ? conditionGuards : guardExpressions(statement);
  conditions.push(...guards);
  const joins = statement.joins();
  const countJoins = guards.length === conditionGuards.length ? conditionJoins : joins;
  const orderBy = order.length === 0 ? raw("") : sql` ORDER BY ${join(order, ", ")}`;
  const distinct = multiplies(joins) || (joins.length > 0 && !input.sort) ? "DISTINCT " : "";
  const from = sql`FROM ${table}${joinClauses(joins)}${where(conditions)}`;
  const counted = !multiplies(countJoins)
    ? "*"
    : `DISTINCT ${table}.${collection.type === "view" ? quote("id") : "_rowid_"}`;
  const { columns } = input;
  // Which unique index is walked hangs on the order of the columns: it is always that of the table.
  const outside = columns !== undefined && distinct !== "" && !input.sort;
  const items = sql`SELECT ${distinct}${outside || columns === undefined ? `${table}.*` : columns} ${from}${orderBy}`;
  return {
    items: outside ? sql`SELECT ${columns} FROM (${items}` : items,
    tail: outside ? `) AS ${table}` : "",
    count: sql`SELECT COUNT(${counted}) FROM ${table}${joinClauses(countJoins)}${where(conditions)}`,
    paged: undefined,
  };
}
