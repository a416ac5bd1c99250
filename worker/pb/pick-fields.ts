/** The `?fields=` parameter: which keys of an answer are kept, by dotted path, with `*` and the `:excerpt(…)` modifier. */
import { badRequest } from "./api-error.ts";
import { excerpt } from "./excerpt.ts";
import { sortedKeys } from "./go-json.ts";

type Modifier = (value: unknown) => unknown;
type Fields = Map<string, Modifier | undefined>;

/**
 * What is left of `data`, as plain JSON with sorted keys. Of a list answer (`items` beside `page`) only the items are picked from.
 * @throws ApiError 400 for an unknown or misused modifier
 */
export function pickFields(data: unknown, rawFields: string): unknown {
  const fields = parseFields(rawFields);
  const plain = sortedKeys(JSON.parse(JSON.stringify(data) ?? "null"));
  if (isObject(plain) && Array.isArray(plain["items"]) && "page" in plain && "perPage" in plain) {
    pickFrom(plain["items"], fields);
  } else {
    pickFrom(plain, fields);
  }
  return plain;
}

function parseFields(raw: string): Fields {
  const fields: Fields = new Map();
  for (const token of splitOutside(raw)) {
    const colon = token.indexOf(":");
    if (colon < 0) fields.set(token, undefined);
    else fields.set(token.slice(0, colon), parseModifier(token.slice(colon + 1)));
  }
  return fields;
}

function parseModifier(text: string): Modifier {
  const match = /^(\w+)\((.*)\)$/s.exec(text.trim());
  if (match?.[1] !== "excerpt") throw badRequest("", undefined, `unknown modifier ${text}`);
  const args = splitOutside(match[2] ?? "").map((arg) => arg.replace(/^(['"`])(.*)\1$/s, "$2"));
  const max = Number(args[0] ?? "");
  if (args.length > 2 || !Number.isInteger(max) || max <= 0)
    throw badRequest("", undefined, "misused excerpt");
  const ellipsis = ["1", "t", "true"].includes((args[1] ?? "").toLowerCase());
  return (value) => (typeof value === "string" ? excerpt(value, max, ellipsis) : value);
}

/** Comma separated, but not inside parentheses or quotes; empty tokens are dropped. */
function splitOutside(text: string): string[] {
  const tokens: string[] = [];
  let depth = 0;
  let quote = "";
  let current = "";
  for (const char of text) {
    if (quote !== "") {
      if (char === quote) quote = "";
    } else if (char === '"' || char === "'" || char === "`") {
      quote = char;
    } else if (char === "(") {
      depth += 1;
    } else if (char === ")") {
      depth -= 1;
    } else if (char === "," && depth <= 0) {
      tokens.push(current);
      current = "";
      continue;
    }
    current += char;
  }
  tokens.push(current);
  return tokens.map((token) => token.trim()).filter((token) => token !== "");
}

function pickFrom(value: unknown, fields: Fields): void {
  if (Array.isArray(value)) {
    if (isObject(value[0])) for (const item of value) if (isObject(item)) pickKeys(item, fields);
  } else if (isObject(value)) {
    pickKeys(value, fields);
  }
}

function pickKeys(object: Record<string, unknown>, given: Fields): void {
  if (given.size === 0) return;
  const fields = withStar(object, given);
  for (const key of Object.keys(object)) {
    const below: Fields = new Map();
    let final = false;
    let modify: Modifier | undefined;
    for (const [path, modifier] of fields) {
      if (path === key) {
        final = true;
        modify = modifier;
      } else if (path.startsWith(`${key}.`)) {
        below.set(path.slice(key.length + 1), modifier);
      }
    }
    if (final) {
      if (modify !== undefined) object[key] = modify(object[key]);
    } else if (below.size > 0) {
      pickFrom(object[key], below);
    } else {
      delete object[key];
    }
  }
}

/** `*` stands for every key of this level that no other path names. */
function withStar(object: Record<string, unknown>, given: Fields): Fields {
  if (!given.has("*")) return given;
  const fields = new Map(given);
  const paths = [...given.keys()];
  for (const key of Object.keys(object)) {
    if (!paths.some((path) => path === key || path.startsWith(`${key}.`))) fields.set(key, given.get("*"));
  }
  return fields;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
