import { FilterError } from "../../shared/filter/error.ts";
import { toText } from "../model/fields/cast.ts";
import { bound, sql, type Env } from "./fragment.ts";
import {
  FALSE_OPERAND,
  integerOperand,
  NULL_OPERAND,
  numberOperand,
  textOperand,
  TRUE_OPERAND,
  type Resolved,
} from "./resolved.ts";
import { findField, splitModifier, type Scope } from "./scope.ts";
import { likePattern, nested, plainValue } from "./values.ts";

const NUMERIC = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/** A value of the request itself: `@request.` plus the path. What is not there is NULL. */
export function resolveStatic(scope: Scope, path: readonly string[]): Resolved {
  const { decisions } = scope.statement;
  const [name, modifier] = splitModifier(path.at(-1) ?? "");
  const keys = [...path.slice(0, -1), name];
  if (modifier === "isset") {
    return decisions.decide((env) => requestValue(env, keys) !== undefined) ? TRUE_OPERAND : FALSE_OPERAND;
  }
  if (modifier !== "" && modifier !== "lower") {
    throw new FilterError(`Cannot resolve @request.${path.join(".")}: the modifier does not apply`);
  }
  // Forms submit numbers as texts.
  const numeric = findField(scope.base, name)?.type === "number";
  const getter = (env: Env) => {
    const value = plainValue(requestValue(env, keys));
    return numeric && typeof value === "string" && NUMERIC.test(value) ? Number(value) : value;
  };
  const type = decisions.decide((env) => {
    const value = getter(env);
    return value === null ? "null" : value === "" ? "empty" : typeof value;
  });
  if (type === "null") return NULL_OPERAND;
  const operand =
    type === "number"
      ? numberOperand(getter)
      : type === "boolean"
        ? integerOperand(getter)
        : textOperand(getter, type === "empty");
  if (modifier !== "lower") return operand;
  const like = sql`LOWER(${bound((env) => likePattern(toText(getter(env))))})`;
  return { ...operand, value: sql`LOWER(${operand.value})`, like };
}

/** The value at `body.a.b`; undefined when there is none. */
function requestValue({ request }: Env, keys: readonly string[]): unknown {
  const [part, ...rest] = keys;
  switch (part) {
    case "context":
      return request.context;
    case "method":
      return request.method;
    case "query":
      return nested(request.query, rest);
    case "headers":
      return nested(request.headers, rest);
    case "body":
      return nested(request.body, rest);
    case "auth": {
      if (request.auth === null) return undefined;
      const { collection, record } = request.auth;
      if (rest[0] === "collectionId") return collection.id;
      if (rest[0] === "collectionName") return collection.name;
      return nested(record, rest);
    }
    default:
      return undefined;
  }
}
