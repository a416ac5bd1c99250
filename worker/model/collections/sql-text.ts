/** Reading SQL texts of collections (index and view definitions) at their top level: quotes and parentheses stay whole. */

const BLANKS = "\t\n\v\f\r \u0085\u00a0";

/**
 * Parts that end at a separator (each one character of `separators`) outside of quotes and parentheses, trimmed, without empty
 * ones. The rules are those of PocketBase's own tokenizer, since they decide which definitions it accepts: brackets quote
 * nothing, a backslash takes the meaning of the character after it, and a blank that separates is never trimmed.
 * @param keep - a part keeps the separator that ended it
 * @throws Error for a quote or a parenthesis that is not closed
 */
export function splitTopLevel(text: string, separators: string, keep = false): string[] {
  const parts: string[] = [];
  let [start, depth, quote] = [0, 0, ""];
  const blanks = new Set(Array.from(BLANKS).filter((blank) => !separators.includes(blank)));
  const take = (end: number): void => {
    const part = trim(text.slice(start, end), blanks);
    if (part !== "") parts.push(part);
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (at === start || text[at - 1] !== "\\") {
      if (quote !== "") quote = character === quote ? "" : quote;
      else if (character === "(") depth++;
      else if (character === ")") depth = Math.max(0, depth - 1);
      else if ("'\"`".includes(character)) quote = character;
    }
    if (depth > 0 || quote !== "" || !separators.includes(character)) continue;
    take(keep ? at + 1 : at);
    start = at + 1;
  }
  if (depth > 0 || quote !== "") {
    throw new Error(`unbalanced parenthesis or quoted expression: ${JSON.stringify(text.slice(start))}`);
  }
  take(text.length);
  return parts;
}

function trim(text: string, characters: ReadonlySet<string>): string {
  let [start, end] = [0, text.length];
  while (start < end && characters.has(text[start] ?? "")) start++;
  while (end > start && characters.has(text[end - 1] ?? "")) end--;
  return text.slice(start, end);
}

const OPAQUE = /'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?\*\//g;

/**
 * What is run as one statement must be one to SQLite, whose quotes are not the tokenizer's.
 * @throws Error for a text that holds more
 */
export function oneStatement(sql: string): string {
  if (sql.replaceAll(OPAQUE, "").includes(";")) throw new Error("multiple statements are not supported");
  return sql;
}

const PARAMETER = /\{:(\w+)\}/;
const BRACED_NAME = /\{\{[\w\-. ]+\}\}|\[\[[\w\-. ]+\]\]/g;

/**
 * PocketBase runs SQL texts through its query builder, which knows `{{table}}`, `[[table.column]]` and `{:parameter}` wherever they
 * stand, texts included.
 * @throws Error for a parameter: nothing is bound to these texts
 */
export function builtSql(sql: string): string {
  const parameter = PARAMETER.exec(sql)?.[1];
  if (parameter !== undefined) throw new Error(`Named parameter not found: ${parameter}`);
  return sql.replaceAll(BRACED_NAME, (name) => name.slice(2, -2).split(".").map(quoteName).join("."));
}

/** A name as a quoted SQL identifier. Names of collections and fields are `\w+`; a backtick never gets through. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll("`", "")}\``;
}
