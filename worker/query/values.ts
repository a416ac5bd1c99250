/** How request values look in SQL and in text: the conversions that PocketBase gets from Go. */
import { toText } from "../model/fields/cast.ts";
import { canonicalJson } from "./canonical-json.ts";

/** A text as the right side of LIKE … ESCAPE '\': with its own `%` as it is, else wrapped in `%` and escaped. */
export function likePattern(text: string): string {
  return hasWildcard(text) ? text : `%${escapeLike(text)}%`;
}

function hasWildcard(text: string): boolean {
  let escaped = false;
  for (const character of text) {
    if (character === "%" && !escaped) return true;
    escaped = character === "\\" && !escaped;
  }
  return false;
}

/**
 * Puts a backslash before `\`, `%` and `_` unless one is there. As in PocketBase the character before an escaped one is
 * not looked at: of two in a row only the second is escaped.
 */
function escapeLike(text: string): string {
  const characters = Array.from(text);
  let escaped = "";
  for (let index = characters.length - 1; index >= 0; index -= 1) {
    const character = characters[index] ?? "";
    escaped = character + escaped;
    if (character !== "\\" && character !== "%" && character !== "_") continue;
    const before = characters[index - 1] ?? "";
    escaped = (before === "\\" ? before : `${before}\\`) + escaped;
    index -= 1;
  }
  return escaped;
}

/** The value at a path of keys and array indexes; undefined when the path does not exist. */
export function nested(value: unknown, path: readonly string[]): unknown {
  let current = value;
  for (const key of path) {
    if (Array.isArray(current)) current = /^\+?\d+$/.test(key) ? current[Number(key)] : undefined;
    else if (typeof current === "object" && current !== null && Object.hasOwn(current, key)) {
      current = (current as Record<string, unknown>)[key];
    } else return undefined;
  }
  return current;
}

export function items(value: unknown): readonly unknown[] {
  if (value === null || value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

/** The distinct ids of a submitted relation: a text, a JSON array in a text, or an array. */
export function relationIds(value: unknown): string[] {
  let list = items(value);
  if (typeof value === "string" && value.includes("[")) {
    try {
      const parsed: unknown = JSON.parse(value);
      if (Array.isArray(parsed)) list = parsed;
    } catch {
      // Not JSON: the text itself is the id.
    }
  }
  return [...new Set(list.map(toText).filter((id) => id !== ""))];
}

/** What a submitted value is in a comparison: texts, numbers and booleans as they are, anything else as JSON. */
export function plainValue(value: unknown): string | number | boolean | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  if (value instanceof Date) return value.toISOString().replace("T", " ");
  return canonicalJson(value);
}
