import { joinClauses } from "./compare.ts";
import type {
  CompileCreateRule,
  MatchesRule,
  QueryContext,
  SelectById,
  SelectByIds,
  Statement,
} from "./contract.ts";
import { environment } from "./filter.ts";
import { bind, bound, join, quote, raw, sql, type Fragment } from "./fragment.ts";
import { cachedPlan, multiplies, ruleExpression, where } from "./plan.ts";
import type { SqlValue } from "../sqlite/contract.ts";

const firstExtra = bound((env) => env.extra[0] ?? null);

/** The record's row when it exists and the rule holds for it. @throws FilterError when the rule cannot be used. */
export const selectById: SelectById = (context, rule, id) =>
  select(context, rule, "row", (table) => sql`${table}.id = ${firstExtra}`, "LIMIT 1", id);

/** The rows of those records that exist and that the rule holds for. @throws FilterError when the rule cannot be used. */
export const selectByIds: SelectByIds = (context, rule, ids) => {
  const list = (table: string) => sql`${table}.id IN (SELECT value FROM json_each(${firstExtra}))`;
  return select(context, rule, "rows", list, "", JSON.stringify(ids));
};

/** Whether the record exists and the rule holds for it. @throws FilterError when the rule cannot be used. */
export const matchesRule: MatchesRule = (db, context, rule, id) => {
  const statement = select(
    context,
    rule,
    "match",
    (table) => sql`${table}.id = ${firstExtra}`,
    "LIMIT 1",
    id,
  );
  return db.get(statement.sql, statement.params) !== undefined;
};

function select(
  context: QueryContext,
  rule: string | null,
  kind: "row" | "rows" | "match",
  condition: (table: string) => Fragment,
  tail: string,
  extra: SqlValue,
): Statement {
  const { collection, schema } = context;
  const env = environment(context, [], [extra]);
  const plan = cachedPlan<Fragment>(schema, `${kind} ${collection.id} ${rule ?? ""}`, env, (statement) => {
    const table = quote(collection.name);
    const conditions = [condition(table)];
    const input = { base: collection, alias: collection.name, allowHidden: true };
    if (rule) conditions.push(ruleExpression(statement, rule, input));
    const joins = statement.joins();
    const distinct = kind === "rows" && multiplies(joins) ? "DISTINCT " : "";
    const columns = kind === "match" ? "1" : `${table}.*`;
    return sql`SELECT ${distinct}${columns} FROM ${table}${joinClauses(joins)}${where(conditions)} ${tail}`;
  });
  return { sql: plan.sql, params: bind(plan.params, env) };
}

/** The name of the unsaved record in its rule; no collection can be called so. */
const NEW = "@new";

/**
 * Holds a rule to a record before it is saved: plain names are its values, `@collection` and relations see the stored rows.
 * As in PocketBase, a back relation of the unsaved record cannot be named.
 * @throws FilterError when the rule cannot be used.
 */
export const compileCreateRule: CompileCreateRule = (context, rule, row) => {
  const { collection, schema } = context;
  const names = collection.fields.map((field) => field.name);
  const values = names.map((name) =>
    name === "verified" && collection.type === "auth" ? false : (row[name] ?? null),
  );
  const env = environment(context, [], values);
  const plan = cachedPlan<Fragment>(schema, `create ${collection.id} ${rule}`, env, (statement) => {
    const unsaved = { ...collection, id: NEW };
    const input = { base: unsaved, alias: NEW, allowHidden: true };
    const conditions = rule === "" ? [] : [ruleExpression(statement, rule, input)];
    const columns = names.map(
      (name, index) => sql`${bound((from) => from.extra[index] ?? null)} AS ${quote(name)}`,
    );
    const cte = sql`WITH ${quote(NEW)} AS (SELECT ${join(columns, ", ")})`;
    return sql`${cte} SELECT 1 FROM ${quote(NEW)}${joinClauses(statement.joins())}${where(conditions)}${raw(" LIMIT 1")}`;
  });
  return { sql: plan.sql, params: bind(plan.params, env) };
};
