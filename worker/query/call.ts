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
  if (call.args.length !== 4) throw error(call, "takes 4 arguments");
  const values = call.args.map((arg) => {
    if (arg.type !== "identifier" && arg.type !== "number") throw error(call, "takes names and numbers");
    return resolve(arg).value;
  });
  const [lonA, latA, lonB, latB] = values as [Fragment, Fragment, Fragment, Fragment];
  const cosines = sql`cos(radians(${latA})) * cos(radians(${latB})) * cos(radians(${lonB}) - radians(${lonA}))`;
  const sines = sql`sin(radians(${latA})) * sin(radians(${latB}))`;
  return { ...column(sql`(6371 * acos(${cosines} + ${sines}))`), nulls: "strict" };
}

/** SQLite's strftime; NULL counts as "". */
function strftime(call: FunctionOperand, resolve: ResolveArgument): Resolved {
  const [format, time, ...modifiers] = call.args;
  if (format === undefined || call.args.length > limits.filterFunctionArgumentsMax) {
    throw error(call, `takes 1 to ${limits.filterFunctionArgumentsMax} arguments`);
  }
  if (format.type !== "text" || modifiers.some((modifier) => modifier.type !== "text")) {
    throw error(call, "takes texts as format and modifiers");
  }
  if (time?.type === "function") throw error(call, "takes no function as time");
  const before = [resolve(format).value];
  const after = modifiers.map((modifier) => resolve(modifier).value);
  const with_ = (value?: Fragment): Fragment =>
    sql`strftime(${join([...before, ...(value === undefined ? [] : [value]), ...after], ",")})`;
  if (time === undefined) return { ...column(with_()), nulls: "coalesce" };
  const resolved = resolve(time);
  const many = resolved.many && { joins: resolved.many.joins, value: with_(resolved.many.value) };
  return { ...column(with_(resolved.value), many), nulls: "coalesce" };
}

function error(call: FunctionOperand, state: string): FilterError {
  return new FilterError(`Cannot resolve function ${call.name}: ${state}`, call.position);
}
