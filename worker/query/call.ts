import type { FunctionOperand, Operand } from "../../shared/filter/ast.ts";
import { FilterError } from "../../shared/filter/error.ts";
import { limits } from "../../shared/limits.ts";
import { join, sql, type Fragment } from "./fragment.ts";
import { column, type Resolved } from "./resolved.ts";

type ResolveArgument = (operand: Operand) => Resolved;

/** A function of the filter language. Both are made of SQLite's own functions: connections need to know no others. */
export function resolveCall(call: FunctionOperand, resolve: ResolveArgument): Resolved {
  switch (call.name) {
    case "geoDistance":
      return geoDistance(call, resolve);
    case "strftime":
      return strftime(call, resolve);
    default:
      throw error(call, "unknown function");
  }
}

/** Kilometres between (lonA, latA) and (lonB, latB) on a sphere. Of several related points one is enough. */
function geoDistance(call: FunctionOperand, resolve: ResolveArgument): Resolved {
  if (call.args.length !== 4) throw error(call, `expected 4 arguments, got ${call.args.length}`);
  const values = call.args.map((arg, index) => {
    if (arg.type !== "identifier" && arg.type !== "number") {
      throw error(call, `argument ${index} must be an identifier or number`);
    }
    return argument(call, `argument ${index}`, () => resolve(arg));
  });
  const distance = (parts: readonly Fragment[]) => {
    const [lonA, latA, lonB, latB] = parts as [Fragment, Fragment, Fragment, Fragment];
    const cosines = sql`cos(radians(${latA})) * cos(radians(${latB})) * cos(radians(${lonB}) - radians(${lonA}))`;
    const sines = sql`sin(radians(${latA})) * sin(radians(${latB}))`;
    return sql`(6371 * acos(${cosines} + ${sines}))`;
  };
  return { ...called(values, distance), nulls: "strict" };
}

/** SQLite's strftime; NULL counts as "". */
function strftime(call: FunctionOperand, resolve: ResolveArgument): Resolved {
  const [format, time, ...modifiers] = call.args;
  const [count, max] = [call.args.length, limits.filterFunctionArgumentsMax];
  if (format === undefined) throw error(call, "expected at least 1 arguments, got 0");
  if (count > max) throw error(call, `too many arguments (max allowed ${max}, got ${count})`);
  if (format.type !== "text") throw error(call, "expects the first argument to be a format string");
  if (time?.type === "function") {
    throw error(call, "expects the second argument to be of a valid time-value type");
  }
  const before = [resolve(format)];
  const resolved = time && argument(call, "time-value argument", () => resolve(time));
  const after = modifiers.map((modifier, index) => {
    if (modifier.type === "text") return resolve(modifier);
    throw error(call, `invalid modifier argument ${index} - can be only string`);
  });
  const strftimeOf = (parts: readonly Fragment[]) => sql`strftime(${join(parts, ",")})`;
  const values = [...before, ...(resolved === undefined ? [] : [resolved]), ...after];
  const result: Resolved = { ...called(values, strftimeOf), nulls: "coalesce" };
  if (resolved?.many === undefined) return result;
  const every = { ...resolved, value: resolved.many.value };
  const value = strftimeOf(values.map((part) => (part === resolved ? every : part).value));
  return { ...result, many: { joins: resolved.many.joins, value, like: result.value } };
}

/**
 * A call of these arguments. On the right of LIKE it is PocketBase's: with values among its arguments nothing is wrapped
 * around the result; each value itself becomes a pattern.
 */
function called(values: readonly Resolved[], make: (parts: readonly Fragment[]) => Fragment): Resolved {
  const result = column(make(values.map((part) => part.value)));
  if (values.every((part) => part.like === undefined)) return result;
  return { ...result, like: make(values.map((part) => part.like ?? part.value)) };
}

function argument(call: FunctionOperand, which: string, resolve: () => Resolved): Resolved {
  try {
    return resolve();
  } catch (cause) {
    if (!(cause instanceof FilterError)) throw cause;
    throw error(call, `failed to resolve ${which}: ${cause.message}`);
  }
}

function error(call: FunctionOperand, state: string): FilterError {
  return new FilterError(`Cannot resolve function ${call.name}: ${state}`, call.position);
}
