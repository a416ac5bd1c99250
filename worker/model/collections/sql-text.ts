/** Reading SQL texts of collections (index and view definitions) at their top level: quotes and parentheses stay whole. */

const CLOSING: Readonly<Record<string, string>> = { "'": "'", '"': '"', "`": "`", "[": "]" };

/** Calls `visit` for every character outside of quotes and parentheses. */
function walkTopLevel(text: string, visit: (character: string, at: number) => void): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i] ?? "";
    const closing = CLOSING[character];
    if (closing !== undefined) {
      const end = text.indexOf(closing, i + 1);
      i = end < 0 ? text.length : end;
      continue;
    }
    if (character === "(") depth++;
    else if (character === ")") depth = Math.max(0, depth - 1);
    else if (depth === 0) visit(character, i);
  }
}

/** Parts between separators (each one character of `separators`), trimmed, without empty ones. */
export function splitTopLevel(text: string, separators: string): string[] {
  const parts: string[] = [];
  let start = 0;
  walkTopLevel(text, (character, at) => {
    if (!separators.includes(character)) return;
    parts.push(text.slice(start, at).trim());
    start = at + 1;
  });
  parts.push(text.slice(start).trim());
  return parts.filter((part) => part !== "");
}

/** Without `--` and block comments. */
export function stripComments(sql: string): string {
  return sql.replace(/('(?:[^']|'')*'|"[^"]*"|`[^`]*`)|\/\*[\s\S]*?\*\/|--[^\n]*/g, (all, quoted?: string) =>
    quoted === undefined ? " " : all,
  );
}

/** A name as a quoted SQL identifier. Names of collections and fields are `\w+`; a backtick never gets through. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll("`", "")}\``;
}
