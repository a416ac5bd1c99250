import type { FilterOperator } from "../../shared/filter/ast.ts";
import { join, quote, raw, sql, type Fragment } from "./fragment.ts";
import { column, type Join, type Resolved } from "./resolved.ts";

/** A comparison as one SQL expression. Without `any`, operands that have many values must match with all of them. */
export function compare(left: Resolved, operator: FilterOperator, any: boolean, right: Resolved): Fragment {
  const like = any ? undefined : right.many?.like;
  let result = compareValues(left, operator, like === undefined ? right : { ...right, like });
  if (!any && (left.many !== undefined || right.many !== undefined)) {
    // The CASE keeps SQLite from running the subquery for every row of the base table, before the joins have dropped any.
    const every = everyMatch(left, operator, right);
    result = sql`(${result} AND CASE WHEN ${result} THEN ${every} ELSE FALSE END)`;
  }
  if (left.and !== undefined) result = sql`(${result} AND ${left.and})`;
  if (right.and !== undefined) result = sql`(${result} AND ${right.and})`;
  return result;
}

/** No combination of the values may fail. A comparison that is NULL does not count as failed. */
function everyMatch(left: Resolved, operator: FilterOperator, right: Resolved): Fragment {
  const joins = [...(left.many?.joins ?? []), ...(right.many?.joins ?? [])];
  const holds = compareValues(inSubquery(left), operator, inSubquery(right));
  return sql`NOT EXISTS (SELECT 1 FROM (SELECT 1)${joinClauses(joins)} WHERE NOT (${holds}))`;
}

function inSubquery(operand: Resolved): Resolved {
  if (operand.many === undefined) return { ...operand, nulls: "auto" };
  return { ...column(operand.many.value), nulls: operand.nulls };
}

export function joinClauses(joins: readonly Join[]): Fragment {
  return join(
    joins.map(({ source, alias, on }) => {
      const clause = sql` LEFT JOIN ${source} AS ${quote(alias)}`;
      return on === undefined ? clause : sql`${clause} ON ${on}`;
    }),
    "",
  );
}

function compareValues(left: Resolved, operator: FilterOperator, right: Resolved): Fragment {
  switch (operator) {
    case "=":
      return equal(left, right);
    case "!=":
      return notEqual(left, right);
    case "~":
      return sql`${left.value} LIKE ${likeOperand(right)} ESCAPE '\\'`;
    case "!~":
      return sql`${left.value} NOT LIKE ${likeOperand(right)} ESCAPE '\\'`;
    default:
      return sql`${left.value} ${operator} ${right.value}`;
  }
}

function likeOperand(operand: Resolved): Fragment {
  return operand.like ?? sql`('%' || ${operand.value} || '%')`;
}

/**
 * NULL and "" are the same but for strict operands. COALESCE is the last resort: it keeps SQLite from using an index.
 */
function equal(left: Resolved, right: Resolved): Fragment {
  if (left.nulls === "strict" || right.nulls === "strict") return sql`${left.value} IS ${right.value}`;
  if (left.empty && right.empty) return raw("1");
  if (known(left) || known(right)) return sql`${orEmpty(left)} = ${orEmpty(right)}`;
  if (left.empty) return sql`('' = ${right.value} OR ${right.value} IS NULL)`;
  if (right.empty) return sql`(${left.value} = '' OR ${left.value} IS NULL)`;
  return sql`COALESCE(${left.value}, '') = COALESCE(${right.value}, '')`;
}

/** IS NOT rather than !=: a comparison with NULL must be true, not NULL. */
function notEqual(left: Resolved, right: Resolved): Fragment {
  if (left.nulls === "strict" || right.nulls === "strict") return sql`${left.value} IS NOT ${right.value}`;
  if (left.empty && right.empty) return raw("0");
  if (known(left) || known(right)) return sql`${orEmpty(left)} IS NOT ${orEmpty(right)}`;
  if (left.empty) return sql`('' IS NOT ${right.value} AND ${right.value} IS NOT NULL)`;
  if (right.empty) return sql`(${left.value} IS NOT '' AND ${left.value} IS NOT NULL)`;
  return sql`COALESCE(${left.value}, '') IS NOT COALESCE(${right.value}, '')`;
}

function known(operand: Resolved): boolean {
  return operand.known && operand.nulls !== "coalesce";
}

function orEmpty(operand: Resolved): Fragment {
  return operand.empty ? raw("''") : operand.value;
}
