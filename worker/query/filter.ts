import type { Filter } from "../../shared/filter/ast.ts";
import { FilterError } from "../../shared/filter/error.ts";
import { parseFilter } from "../../shared/filter/parse.ts";
import { limits } from "../../shared/limits.ts";
import { joinClauses } from "./compare.ts";
import type { CompiledFilter, QueryContext } from "./contract.ts";
import { bind, type Env, type Fragment } from "./fragment.ts";
import {
  cachedPlan,
  clientExpression,
  conjunction,
  guardExpressions,
  multiplies,
  type ScopeInput,
} from "./plan.ts";

interface FilterPlan {
  readonly where: Fragment;
  readonly joins: Fragment;
  readonly distinct: boolean;
}

/**
 * Compiles a filter or rule for a statement over `FROM "<collection name>"`.
 * @throws FilterError when the text cannot be parsed or resolved, or may not be used by this client.
 */
export function compileFilter(filter: Filter | string, context: QueryContext): CompiledFilter {
  if (context.kind === "client") {
    if (typeof filter === "string") checkClientText(filter, context);
    else checkReserved(filter.shape, context);
  }
  const parsed = typeof filter === "string" ? parseFilter(filter) : filter;
  const { schema, collection, allowHidden } = context;
  const env = environment(context, parsed.literals);
  const key = `filter ${collection.id} ${allowHidden}${parsed.shape}`;
  const plan = cachedPlan<FilterPlan>(schema, key, env, (statement) => {
    const input: ScopeInput = { base: collection, alias: collection.name, allowHidden };
    const condition = clientExpression(statement, parsed, input);
    const where = conjunction([condition, ...guardExpressions(statement)]);
    const joins = statement.joins();
    return { where, joins: joinClauses(joins), distinct: multiplies(joins) };
  });
  return {
    where: plan.where.sql,
    params: bind(plan.where.params, env),
    joins: { sql: plan.joins.sql, params: bind(plan.joins.params, env) },
    distinct: plan.distinct,
  };
}

/** Text that came with a request: its length, and what only superusers may ask. PocketBase looks for that anywhere, texts included. */
export function checkClientText(text: string, context: QueryContext): void {
  checkReserved(text, context);
  if (utf8LongerThan(text, limits.filterCharactersMax)) {
    throw new FilterError(`Cannot use filter: longer than ${limits.filterCharactersMax} bytes`);
  }
}

export function checkReserved(text: string, { allowHidden }: QueryContext): void {
  if (allowHidden) return;
  for (const reserved of ["@collection.", "@request."]) {
    if (!text.includes(reserved)) continue;
    throw new FilterError(`Only superusers can filter by ${reserved}`, undefined, "forbidden");
  }
}

export function utf8LongerThan(text: string, bytes: number): boolean {
  if (text.length * 3 <= bytes) return false;
  return text.length > bytes || new TextEncoder().encode(text).byteLength > bytes;
}

export function environment(
  context: QueryContext,
  literals: Env["literals"] = [],
  extra: Env["extra"] = [],
): Env {
  return { request: context.request, literals, now: context.now(), extra };
}
