import { LRUCache } from "lru-cache";
import { limits } from "../../shared/limits.ts";
import type { Collection, Schema } from "../../shared/schema/collection.ts";
import { parseFilter } from "../../shared/filter/parse.ts";
import type { Filter } from "../../shared/filter/ast.ts";
import { Decisions } from "./decisions.ts";
import { filterExpression } from "./expression.ts";
import { join, quote, raw, sql, type Env, type Fragment } from "./fragment.ts";
import type { Join } from "./resolved.ts";
import { StatementBuilder, type Scope } from "./scope.ts";

/** SQL text with its parameters still open; made once for all requests that shape it the same way. */
interface Variant<Plan> {
  readonly decisions: Decisions;
  readonly plan: Plan;
}

const caches = new WeakMap<Schema, LRUCache<string, Variant<unknown>[]>>();

/**
 * The plan for `key` that fits this request, built when there is none. The key must hold everything that shapes the SQL
 * besides the schema and what the builder asks of the request through its decisions.
 */
export function cachedPlan<Plan>(
  schema: Schema,
  key: string,
  env: Env,
  build: (statement: StatementBuilder) => Plan,
): Plan {
  let cache = caches.get(schema);
  if (cache === undefined) {
    cache = new LRUCache({ maxSize: limits.queryPlansMax, sizeCalculation: () => 1 });
    caches.set(schema, cache);
  }
  // One kind of plan per key: the key starts with the kind.
  const variants = (cache.get(key) ?? []) as Variant<Plan>[];
  for (const variant of variants) {
    if (variant.decisions.hold(env)) return variant.plan;
  }
  const decisions = new Decisions(env);
  const plan = build(new StatementBuilder(schema, decisions));
  decisions.end();
  cache.set(key, [{ decisions, plan }, ...variants.slice(0, limits.queryPlanVariantsMax - 1)]);
  return plan;
}

export interface ScopeInput {
  readonly base: Collection;
  readonly alias: string;
  readonly allowHidden: boolean;
}

/** A rule's scope: its text is part of the plan's key, so its literals are constants. */
export function ruleScope(statement: StatementBuilder, input: ScopeInput, suffix = ""): Scope {
  return { statement, ...input, suffix, literal: (_index, value) => () => value };
}

/** A client filter's scope: only its shape is part of the plan's key, its literals come with each request. */
export function clientScope(statement: StatementBuilder, input: ScopeInput): Scope {
  return { statement, ...input, suffix: "", literal: (index) => (env) => env.literals[index] ?? null };
}

export function ruleExpression(statement: StatementBuilder, rule: string, input: ScopeInput): Fragment {
  return filterExpression(parseFilter(rule), ruleScope(statement, input));
}

export function clientExpression(statement: StatementBuilder, filter: Filter, input: ScopeInput): Fragment {
  return filterExpression(filter, clientScope(statement, input));
}

/**
 * The list rules of the collections that client filters and sorts have joined so far; each must hold for its joined row, if
 * there is one.
 */
export function guardExpressions(statement: StatementBuilder): Fragment[] {
  const guards: Fragment[] = [];
  let number = 0;
  for (const [alias, collection] of statement.guarded) {
    number += 1;
    if (collection.listRule === null || collection.listRule === "") continue;
    const scope = ruleScope(statement, { base: collection, alias, allowHidden: true }, `#${number}`);
    const rule = filterExpression(parseFilter(collection.listRule), scope);
    guards.push(sql`(${quote(alias)}."id" IS NULL OR ${rule})`);
  }
  return guards;
}

export function conjunction(conditions: readonly Fragment[]): Fragment {
  return conditions.length === 0 ? raw("1") : join(conditions, " AND ");
}

export function where(conditions: readonly Fragment[]): Fragment {
  return conditions.length === 0 ? raw("") : sql` WHERE ${conjunction(conditions)}`;
}

export function multiplies(joins: readonly Join[]): boolean {
  return joins.some((step) => step.multiplies);
}
