/** The `?fields=` parameter: which keys of an answer are kept, by dotted path, with `*` and the `:excerpt(…)` modifier. */
import { excerpt } from "./excerpt.ts";
import { fromBody, stringifyExactly } from "../model/fields/json-text.ts";
import { sortedKeys } from "./go-json.ts";

/** PocketBase has sent the head by then: its answer keeps its status and has no body. */
export class UnusableFields extends Error {
  override readonly name = "UnusableFields";
}

type Modifier = (value: unknown) => unknown;

/** The paths of the parameter as a tree: by key, what is wanted of its value. */
interface Picked {
  /** Named itself: its whole value is kept, whatever is also named below it. */
  whole: boolean;
  modify: Modifier | undefined;
  below: Map<string, Picked>;
}

/**
 * What is left of `data`, as plain JSON with sorted keys. Of a list answer (`items` beside `page`) only the items are picked from.
 * @throws UnusableFields for an unknown or misused modifier
 */
export function pickFields(data: unknown, rawFields: string): unknown {
  const fields = parseFields(rawFields);
  const text = stringifyExactly(data) ?? "null";
  const plain = pickFromAnswer(sortedKeys(JSON.parse(text)), fields);
  return OWN_ORDER.test(text) ? fromBody(plain) : plain;
}

/** Keys that JavaScript puts before all others, and a zero of which it drops the sign. */
const OWN_ORDER = /"\d+":|-0[,}\]]/;

function pickFromAnswer(plain: unknown, fields: Picked): unknown {
  if (fields.below.size === 0) return plain;
  if (isObject(plain) && Array.isArray(plain["items"]) && "page" in plain && "perPage" in plain) {
    pickFrom(plain["items"], fields);
  } else {
    pickFrom(plain, fields);
  }
  return plain;
}

function parseFields(raw: string): Picked {
  const root: Picked = { whole: false, modify: undefined, below: new Map() };
  for (const token of splitOutside(raw)) {
    const colon = token.indexOf(":");
    const path = colon < 0 ? token : token.slice(0, colon);
    const modify = colon < 0 ? undefined : parseModifier(token.slice(colon + 1));
    let node = root;
    for (const key of path.replace(/\.$/, "").split(".")) {
      const next: Picked = node.below.get(key) ?? { whole: false, modify: undefined, below: new Map() };
      node.below.set(key, next);
      node = next;
    }
    node.whole = true;
    node.modify = modify;
  }
  return root;
}

/** The name and its arguments, with blanks, commas and parentheses between them, whatever their order. */
function parseModifier(text: string): Modifier {
  const [name, max = "", ellipsis = "", ...more] = text.split(/[(), ]+/).filter((part) => part !== "");
  if (name !== "excerpt") throw new UnusableFields(`Cannot pick fields: unknown modifier ${text}`);
  const characters = toInteger(max);
  if (characters <= 0 || more.length > 0) throw new UnusableFields("Cannot pick fields: misused excerpt");
  const marked = ["1", "t", "T", "true", "TRUE", "True"].includes(ellipsis);
  return (value) => (typeof value === "string" ? excerpt(value, characters, marked) : value);
}

/** As a Go cast: the fraction is dropped; 0 for what is no number. */
function toInteger(text: string): number {
  const value = Number(text.replace(/^([+-]?\d+)\.\d*$/, "$1").replaceAll("_", ""));
  return /^[+-]?[\d_]+e/i.test(text) || !Number.isInteger(value) || value >= 2 ** 63 ? 0 : value;
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
  if (quote !== "") throw new UnusableFields("Cannot pick fields: a quote is not closed");
  tokens.push(current);
  return tokens.map((token) => token.trim()).filter((token) => token !== "");
}

function pickFrom(value: unknown, fields: Picked): void {
  if (Array.isArray(value)) {
    if (isObject(value[0])) for (const item of value) if (isObject(item)) pickKeys(item, fields);
  } else if (isObject(value)) {
    pickKeys(value, fields);
  }
}

/** `*` stands for every key of this level that no other path names. */
function pickKeys(object: Record<string, unknown>, { below }: Picked): void {
  const star = below.get("*");
  for (const key of Object.keys(object)) {
    const wanted = below.get(key) ?? (star?.whole === true ? star : undefined);
    if (wanted === undefined) delete object[key];
    else if (!wanted.whole) pickFrom(object[key], wanted);
    else if (wanted.modify !== undefined) object[key] = wanted.modify(object[key]);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
