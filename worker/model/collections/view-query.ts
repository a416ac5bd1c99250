/** What a view's SELECT names: its columns and the tables that they may come from. Loose on purpose: SQLite itself judges the SQL. */
import { splitTopLevel, stripComments } from "./sql-text.ts";

export interface Identifier {
  /** The expression, quotes around plain names removed. */
  original: string;
  alias: string;
}

export interface ViewQuery {
  columns: Identifier[];
  /** The first is the main one: unqualified columns are its. */
  tables: Identifier[];
}

const JOIN = /^(?:full|left|right|cross|inner|outer|natural|join)$/;
const CONDITION = /^(?:on|using)$/;
const TAIL = /^(?:where|group|having|order|limit|window)$/;
/** The first SELECT of a compound names its columns. */
const COMPOUND = /^(?:union|except|intersect)$/;

/** @throws Error for a column with blanks outside of parentheses and quotes, as PocketBase does */
export function parseViewQuery(query: string): ViewQuery {
  const words = splitTopLevel(separateCommas(unwrap(stripComments(trimQuery(query)))), " \n\t\r");
  const parts = { select: [] as string[], from: [] as string[] };
  let target: string[] | undefined;
  for (const word of words) {
    const lower = word.toLowerCase();
    if (lower === "select") target = begin(parts.select);
    else if (lower === "from") target = begin(parts.from);
    else if (COMPOUND.test(lower)) break;
    else if (target === undefined) continue;
    else if (TAIL.test(lower)) target = undefined;
    else if (target === parts.from && JOIN.test(lower)) target = begin(parts.from);
    else if (target === parts.from && CONDITION.test(lower)) target.push(SKIP);
    else if (target === parts.from || !/^(?:distinct|all)$/.test(lower)) target.push(word);
  }
  return { columns: identifiers(parts.select), tables: identifiers(parts.from) };
}

/** A query may stand in parentheses as a whole: a UNION must. */
function unwrap(query: string): string {
  const trimmed = trimQuery(query);
  const isWrapped =
    trimmed.startsWith("(") && trimmed.endsWith(")") && splitTopLevel(trimmed, " \n\t\r)").length === 1;
  return isWrapped ? unwrap(trimmed.slice(1, -1)) : trimmed;
}

/** `SELECT a,b` and `SELECT a , b` read alike: a comma is a word of its own. */
function separateCommas(text: string): string {
  return splitTopLevel(text, ",").join(" , ");
}

function begin(list: string[]): string[] {
  if (list.length > 0) list.push(",");
  return list;
}

/** Stands for a join's condition: words after it are dropped up to the next comma. */
const SKIP = "\0";

function identifiers(words: readonly string[]): Identifier[] {
  const found: Identifier[] = [];
  let current: string[] = [];
  let inCondition = false;
  for (const word of [...words, ","]) {
    if (word === ",") {
      if (current.length > 0) found.push(identifier(current));
      current = [];
      inCondition = false;
    } else if (word === SKIP) inCondition = true;
    else if (!inCondition) current.push(word);
  }
  return found;
}

function identifier(parts: readonly string[]): Identifier {
  const [first = "", second = "", third = ""] = parts;
  if (parts.length === 1) {
    const original = unquoteName(first);
    return { original, alias: unquoteName(first.split(".").at(-1) ?? "", "'") };
  }
  if (parts.length === 2) return { original: unquoteName(first), alias: unquoteName(second, "'") };
  if (parts.length === 3) {
    if (second.toLowerCase() !== "as")
      throw new Error(`invalid identifier part - expected "as", got ${second}`);
    return { original: unquoteName(first), alias: unquoteName(third, "'") };
  }
  throw new Error(`invalid identifier parts [${parts.join(" ")}]`);
}

function unquoteName(raw: string, extra = ""): string {
  const quotes = `\`"[];${extra}`;
  return raw
    .split(".")
    .map((part) => {
      let [start, end] = [0, part.length];
      while (start < end && quotes.includes(part[start] ?? "")) start++;
      while (end > start && quotes.includes(part[end - 1] ?? "")) end--;
      return part.slice(start, end);
    })
    .join(".");
}

/** Without blanks and semicolons around it. */
export function trimQuery(query: string): string {
  return query
    .trim()
    .replace(/^;+|;+$/g, "")
    .trim();
}

/** @throws Error when the text holds more than one statement */
export function singleStatement(query: string): string {
  const trimmed = trimQuery(query);
  if (splitTopLevel(trimmed, ";").length > 1) throw new Error("multiple statements are not supported");
  return trimmed;
}
