import type { Comparison, Filter, Group, Operand } from "../../shared/filter/ast.ts";
import { FilterError } from "../../shared/filter/error.ts";
import { resolveCall } from "./call.ts";
import { compare } from "./compare.ts";
import { join, raw, sql, type Fragment } from "./fragment.ts";
import { resolveName } from "./name.ts";
import { numberOperand, textOperand, type Resolved } from "./resolved.ts";
import type { Scope } from "./scope.ts";

/** A whole filter as one SQL expression that can be joined with AND; its joins go to the scope's statement. */
export function filterExpression(filter: Filter, scope: Scope): Fragment {
  return group(filter.root, scope);
}

/** AND binds tighter than OR in SQL as in the filter language, so a chain stays flat. */
function group({ items }: Group, scope: Scope): Fragment {
  const [only, ...rest] = items;
  if (only === undefined) throw new FilterError("Cannot resolve filter: empty group");
  if (rest.length === 0) return item(only.item, scope);
  const parts = items.map((entry, index) => {
    const part = item(entry.item, scope);
    return index === 0 ? part : sql`${entry.join === "||" ? "OR" : "AND"} ${part}`;
  });
  return sql`(${join(parts, " ")})`;
}

function item(node: Comparison | Group, scope: Scope): Fragment {
  if (node.type === "group") return group(node, scope);
  const left = placed(node.left, scope, "<");
  const right = placed(node.right, scope, ">");
  return sql`(${compare(left, node.operator, node.any, right)})`;
}

/** An operand whose errors say where it stands. */
function placed(node: Operand, scope: Scope, side: "<" | ">"): Resolved {
  try {
    return operand(node, scope, side);
  } catch (error) {
    if (error instanceof FilterError && error.position === undefined) {
      throw new FilterError(error.message, node.position, error.kind);
    }
    throw error;
  }
}

function operand(node: Operand, scope: Scope, side: "<" | ">"): Resolved {
  switch (node.type) {
    case "identifier":
      return resolveName(scope, node.name, side);
    case "text":
      return textOperand(scope.literal(node.literal, node.value), node.value === "");
    case "number":
      return numberOperand(scope.literal(node.literal, node.value));
    case "function":
      return resolveCall(node, (argument) => operand(argument, scope, side));
    default:
      return { value: raw("NULL"), nulls: "auto", empty: true, known: false };
  }
}
