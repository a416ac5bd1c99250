import { stringifyExactly } from "../model/fields/json-text.ts";

/**
 * JSON as Go's `json.Encoder` writes it, which PocketBase clients and signatures over bodies may rely on:
 * `<`, `>`, `&`, U+2028 and U+2029 escaped, a final newline. Key order is the value's own; maps are sorted with `sortedKeys`.
 */
const ESCAPES = /[<>&\u2028\u2029]/g;
const ESCAPED: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

/** Without the final newline, as Go's `json.Marshal`. */
export function marshalGo(value: unknown): string {
  const text = stringifyExactly(value) ?? "null";
  return needsEscape(text) ? text.replace(ESCAPES, (found) => ESCAPED[found] ?? found) : text;
}

/** Five plain searches: an engine does each many bytes at a time, unlike one regular expression. */
function needsEscape(text: string): boolean {
  return (
    text.includes("&") ||
    text.includes("<") ||
    text.includes(">") ||
    text.includes("\u2028") ||
    text.includes("\u2029")
  );
}

/** With the final newline, as Go's `json.Encoder`. */
export function encodeGo(value: unknown): string {
  return `${marshalGo(value)}\n`;
}

/** A copy whose objects, at every depth, have their keys in Go's map order: by bytes. */
export function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (typeof value !== "object" || value === null) return value;
  const source = value as Record<string, unknown>;
  const sorted: Record<string, unknown> = {};
  for (const key of Object.keys(source).sort(byBytes)) sorted[key] = sortedKeys(source[key]);
  return sorted;
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
