import { limits } from "../../shared/limits.ts";
import type { SqlValue } from "../sqlite/contract.ts";
import { sqlTokens } from "./sql-tokens.ts";

const AS_REAL = /\(((?:\?\d*|[:@#$][^()+]+)(?:\([^)]*\))?)\+0\.0\)/g;

/**
 * A float of the protocol is REAL in SQLite even when it is whole, and clients in JavaScript send all numbers as floats: `3 / 2` is
 * 1.5. Our driver binds whole numbers as integers, so the statement makes a REAL of these, of which no affinity comes either.
 * Where there are more than `limits.sqlRealParametersMax` they stay integers: SQLite compares each such expression to all others,
 * and what inserts so many values puts them into columns, whose affinity decides.
 * @param values - by the number of the parameter; integers of the protocol are bigints
 */
export function withReals(sql: string, values: readonly SqlValue[]): string {
  const wholeFloats = values.filter(isWholeFloat).length;
  if (wholeFloats === 0 || wholeFloats > limits.sqlRealParametersMax) return sql;
  let text = "";
  let end = 0;
  let count = 0;
  const named = new Map<string, number>();
  for (const token of sqlTokens(sql)) {
    if (token.kind !== "parameter") continue;
    const number = /^\?\d/.test(token.text) ? Number(token.text.slice(1)) - 1 : undefined;
    const index = number ?? (token.text === "?" ? count : (named.get(token.text) ?? count));
    if (token.text !== "?") named.set(token.text, index);
    count = Math.max(count, index + 1);
    if (!isWholeFloat(values[index])) continue;
    text += `${sql.slice(end, token.start)}(${token.text}+0.0)`;
    end = token.end;
  }
  return text + sql.slice(end);
}

/** The name of a column without a name is the text that it comes from. */
export const withoutReals = (columnName: string): string => columnName.replace(AS_REAL, "$1");

/** Beyond 64 bits the driver binds a float itself. */
function isWholeFloat(value: SqlValue | undefined): boolean {
  return typeof value === "number" && Number.isInteger(value) && Math.abs(value) < 2 ** 63;
}
