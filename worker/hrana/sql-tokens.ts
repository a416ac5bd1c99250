/** Just enough of SQLite's lexer to cut a script into statements and to number parameters. SQLite itself judges what they do. */
export interface SqlToken {
  kind: "word" | "parameter" | "semicolon" | "other";
  text: string;
  start: number;
  end: number;
}

const TOKEN =
  /(\s+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|`(?:[^`]|``)*(?:`|$)|\[[^\]]*(?:\]|$))|(\?\d*|[:@#][\w$\u0080-\uffff]+|\$[\w$\u0080-\uffff]+(?:::[\w$\u0080-\uffff]+)*(?:\([^)\s]*\))?)|([A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)|(;)|\d[\w.]*|[\s\S]/y;

/** Without blanks and comments. */
export function* sqlTokens(sql: string): Generator<SqlToken> {
  TOKEN.lastIndex = 0;
  let start = 0;
  while (start < sql.length) {
    TOKEN.lastIndex = start;
    const match = TOKEN.exec(sql);
    const end = TOKEN.lastIndex;
    if (match === null || end <= start) return;
    const [text, blank, , parameter, word, semicolon] = match;
    if (blank === undefined) {
      const kind =
        parameter !== undefined
          ? "parameter"
          : word !== undefined
            ? "word"
            : semicolon !== undefined
              ? "semicolon"
              : "other";
      yield { kind, text, start, end };
    }
    start = end;
  }
}

/** The statements of a script, without empty ones and final semicolons. A trigger's body ends at the `;` after its `END`. */
export function splitStatements(sql: string): string[] {
  const statements: string[] = [];
  let start: number | undefined;
  let end = 0;
  let words: string[] = [];
  let last = "";
  let beforeLast = "";
  for (const token of sqlTokens(sql)) {
    if (token.kind === "semicolon") {
      if (start === undefined) continue;
      const isBody = isTrigger(words) && !(last === "END" && beforeLast === ";");
      if (!isBody) {
        statements.push(sql.slice(start, end));
        start = undefined;
        words = [];
        last = "";
        continue;
      }
    }
    start ??= token.start;
    end = token.end;
    const text = token.kind === "semicolon" ? ";" : token.text.toUpperCase();
    if (words.length < 5) words.push(text);
    beforeLast = last;
    last = text;
  }
  if (start !== undefined) statements.push(sql.slice(start, end));
  return statements;
}

function isTrigger(words: readonly string[]): boolean {
  const rest = words[0] === "EXPLAIN" ? words.slice(words[1] === "QUERY" ? 3 : 1) : words;
  if (rest[0] !== "CREATE") return false;
  const kind = rest[1] === "TEMP" || rest[1] === "TEMPORARY" ? rest[2] : rest[1];
  return kind === "TRIGGER";
}

/** The first words of a statement, upper case: what kind it is. SQLite passes over semicolons before it. */
export function firstWords(sql: string, count: number): string[] {
  const words: string[] = [];
  for (const token of sqlTokens(sql)) {
    if (words.length === count) break;
    if (token.kind === "semicolon" && words.length === 0) continue;
    words.push(token.text.toUpperCase());
  }
  return words;
}

/** Names of the parameters by their index from 1 (at 0 here); null for those without one. Numbered as SQLite does. */
export function parameterNames(sql: string): (string | null)[] {
  const names: (string | null)[] = [];
  for (const { kind, text } of sqlTokens(sql)) {
    if (kind !== "parameter") continue;
    if (text === "?") {
      names.push(null);
    } else if (text.startsWith("?")) {
      const index = Math.min(Number(text.slice(1)), 32_766);
      while (names.length < index) names.push(null);
      if (index > 0) names[index - 1] ??= text;
    } else if (!names.includes(text)) {
      names.push(text);
    }
  }
  return names;
}
