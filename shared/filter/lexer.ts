import { FilterError } from "./error.ts";

export type TokenType =
  | "identifier"
  | "function" // an identifier and the parenthesis right behind it
  | "text"
  | "number"
  | "operator"
  | "join"
  | "("
  | ")"
  | ","
  | "end";

export interface Token {
  readonly type: TokenType;
  /** The literal's content, the identifier, or the sign itself. */
  readonly value: string;
  /** Where it starts in the source, in UTF-16 units. */
  readonly position: number;
}

const WHITESPACE = /[ \t\n]+/y;
const COMMENT = /\/\/[^\n]*/y;
const IDENTIFIER = /[A-Za-z_@#][\w.:@#]*/y;
const IDENTIFIER_FORM = /^[@#_]?[\w.:]*\w$/;
const NUMBER = /-?[\d.]*/y;
const NUMBER_FORM = /^-?(?:\d+(?:\.\d+)?|\.\d+)$/;
const SIGNS = /[=?!<>~]+/y;
const OPERATOR_FORM = /^\??(?:!?=|!?~|[<>]=?)$/;
const JOINS = /[&|]+/y;

/**
 * Splits a filter into tokens, positions kept, blanks and `//` comments dropped; the last is `end`.
 * @throws FilterError at the first character that no token can start with, or at a token that is not complete.
 */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(source)?.[0] ?? "";
    at += found.length;
    return found;
  };
  for (;;) {
    take(WHITESPACE);
    if (at >= source.length) break;
    const position = at;
    const first = source.charAt(at);
    let token: Token;
    if (first === "'" || first === '"') {
      const end = closingQuote(source, at);
      token = { type: "text", value: unescape(source.slice(at + 1, end)), position };
      at = end + 1;
    } else if (first === "(" || first === ")" || first === ",") {
      token = { type: first, value: first, position };
      at += 1;
    } else if ((first >= "0" && first <= "9") || first === "-") {
      token = { type: "number", value: checked(take(NUMBER), NUMBER_FORM, "number", position), position };
    } else if (first === "&" || first === "|") {
      token = { type: "join", value: checked(take(JOINS), /^(?:&&|\|\|)$/, "join", position), position };
    } else if (first === "/") {
      if (take(COMMENT) === "") throw unexpected(first, position);
      continue;
    } else {
      const name = take(IDENTIFIER);
      if (name !== "") {
        checked(name, IDENTIFIER_FORM, "identifier", position);
        const called = source.charAt(at) === "(";
        if (called) at += 1;
        token = { type: called ? "function" : "identifier", value: name, position };
      } else {
        const signs = take(SIGNS);
        if (signs === "") throw unexpected(first, position);
        token = { type: "operator", value: checked(signs, OPERATOR_FORM, "operator", position), position };
      }
    }
    tokens.push(token);
  }
  tokens.push({ type: "end", value: "", position: source.length });
  return tokens;
}

/** The quote that a text ends with: the first equal one that no backslash escapes. */
function closingQuote(source: string, start: number): number {
  const quote = source.charAt(start);
  for (let at = start + 1; at < source.length; at += 1) {
    const character = source.charAt(at);
    if (character === quote) return at;
    if (character === "\0") break;
    if (character === "\\") at += 1;
  }
  throw new FilterError("Cannot parse filter: text without its closing quote", start);
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

/** A backslash before anything else than these is the text's own: `\%` keeps it, for LIKE. */
function unescape(content: string): string {
  if (!content.includes("\\")) return content;
  return content.replaceAll(/\\([\\'"nrt])/g, (_, escaped: string) => ESCAPES[escaped] ?? escaped);
}

function checked(value: string, form: RegExp, what: string, position: number): string {
  if (!form.test(value)) throw new FilterError(`Cannot parse filter: invalid ${what} ${value}`, position);
  return value;
}

function unexpected(character: string, position: number): FilterError {
  return new FilterError(`Cannot parse filter: unexpected ${character}`, position);
}
