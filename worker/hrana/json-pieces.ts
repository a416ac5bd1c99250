/** Answers as JSON in pieces: encoding a hundred thousand rows in one go would hold up everybody else. */
import { limits } from "../../shared/limits.ts";
import type { SqlValue } from "../sqlite/contract.ts";
import { type HranaValue, encodeValue } from "./value.ts";

/** Lets others have their turn. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export async function encodeRows(rows: readonly SqlValue[][]): Promise<HranaValue[][]> {
  const encoded: HranaValue[][] = [];
  for (const [number, row] of rows.entries()) {
    if (number > 0 && number % limits.sqlRowsPerMessage === 0) await breathe();
    encoded.push(row.map(encodeValue));
  }
  return encoded;
}

/** As JSON.stringify writes it; long arrays, at whatever depth, come in pieces. */
export async function* jsonPieces(value: unknown): AsyncGenerator<string> {
  if (Array.isArray(value) && value.length > 0) {
    for (let at = 0; at < value.length; at += limits.sqlRowsPerMessage) {
      if (at > 0) await breathe();
      const part = value.slice(at, at + limits.sqlRowsPerMessage) as unknown[];
      yield at === 0 ? "[" : ",";
      if (part.some(holdsLongArray)) {
        for (const [index, one] of part.entries()) {
          if (index > 0) yield ",";
          yield* jsonPieces(one);
        }
      } else yield JSON.stringify(part).slice(1, -1);
    }
    yield "]";
  } else if (holdsLongArray(value)) {
    let separator = "{";
    for (const [key, one] of Object.entries(value as object)) {
      if (one === undefined) continue;
      yield `${separator}${JSON.stringify(key)}:`;
      yield* jsonPieces(one);
      separator = ",";
    }
    yield "}";
  } else yield JSON.stringify(value) ?? "null";
}

function holdsLongArray(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value))
    return value.length > limits.sqlRowsPerMessage || value.slice(0, 1_000).some(holdsLongArray);
  return Object.values(value).some(holdsLongArray);
}
