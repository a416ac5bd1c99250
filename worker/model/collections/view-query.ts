/** What a view's SELECT names: its columns and the tables that they may come from. Loose on purpose: SQLite itself judges the SQL. */
import { splitTopLevel } from "./sql-text.ts";

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

const COMMENT = /\/\*[\s\S]*?\*\/|--[^\n]+/g;
const JOIN = new RegExp(
  String.raw`[\t\n\f\r ]+(?:(?:full|left|right)[\t\n\f\r ]+outer[\t\n\f\r ]+join|(?:full|cross|inner|outer|left|right)[\t\n\f\r ]+join|join)[\t\n\f\r ]`,
  "gi",
);
const TAIL = /[\t\n\f\r ]+(?:where|group[\t\n\f\r ]+by|having|order|limit|with)[\t\n\f\r ]/gi;
/** Stand for what the two patterns above find, wherever it is. */
const JOIN_WORD = "__pb_join__";
const TAIL_WORD = "__pb_discard__";

/**
 * As loose as PocketBase's parser, and no looser: what that one refuses (a column with blanks outside of parentheses, UNION,
 * USING) its clients know as refused.
 * @throws Error for what cannot be a column or a table
 */
export function parseViewQuery(query: string): ViewQuery {
  const text = trimQuery(query)
    .replaceAll(COMMENT, " ")
    .replaceAll(JOIN, ` ${JOIN_WORD} `)
    .replaceAll(TAIL, ` ${TAIL_WORD} `);
  const parts = { select: "", from: "", join: "" };
  let part: keyof typeof parts | undefined;
  let skip = false;
  for (const token of splitTopLevel(text, ", \n\t", true)) {
    const word = token.trim().toLowerCase();
    if (word === "distinct") continue;
    if (word === TAIL_WORD) skip = true;
    else if (word === "select" || word === "from" || word === JOIN_WORD) {
      skip = false;
      if (part === "join" && word === JOIN_WORD) parts.join += ",";
      part = word === JOIN_WORD ? "join" : word;
    } else {
      if (part === "join" && word === "on") skip = true;
      if (!skip && part !== undefined) parts[part] += ` ${token}`;
    }
  }
  return {
    columns: identifiers(parts.select),
    tables: [...identifiers(parts.from), ...identifiers(parts.join)],
  };
}

function identifiers(list: string): Identifier[] {
  return splitTopLevel(list, ",").map((item) => identifier(splitTopLevel(item, " \n\t")));
}

function identifier(parts: readonly string[]): Identifier {
  const [first = "", second = "", third = ""] = parts;
  if (parts.length === 0 || parts.length > 3) {
    throw new Error(`invalid identifier parts [${parts.join(" ")}]`);
  }
  if (parts.length === 3 && second.toLowerCase() !== "as") {
    throw new Error(`invalid identifier part - expected "as", got ${second}`);
  }
  const alias = parts.length === 1 ? (first.split(".").at(-1) ?? "") : parts.length === 2 ? second : third;
  return { original: unquoteName(first), alias: unquoteName(alias, "'") };
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

/** Without blanks around it, and semicolons. */
export function trimQuery(query: string): string {
  return query.trim().replace(/^;+|;+$/g, "");
}

/** @throws Error when the text holds more than one statement */
export function singleStatement(query: string): string {
  const trimmed = trimQuery(query);
  if (splitTopLevel(trimmed, ";").length > 1) throw new Error("multiple statements are not supported");
  return trimmed;
}
