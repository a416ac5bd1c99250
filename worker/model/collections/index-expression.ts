/** `CREATE INDEX` texts as a collection keeps them: parsed, rewritten for the collection's table, compared. */
import { splitTopLevel } from "./sql-text.ts";

export interface IndexColumn {
  /** A column's name, or an expression. */
  name: string;
  collate: string;
  sort: string;
}

export interface IndexExpression {
  unique: boolean;
  ifNotExists: boolean;
  schemaName: string;
  indexName: string;
  tableName: string;
  columns: IndexColumn[];
  where: string;
}

const INDEX =
  /create\s+(unique\s+)?\s*index\s*(if\s+not\s+exists\s+)?(\S*)\s+on\s+([^\s(]*)\s*\(([\s\S]*)\)(?:\s*where\s+([\s\S]*))?/i;
const COLUMN = /^([\s\S]+?)(?:\s+collate\s+(\w+))?(?:\s+(asc|desc))?$/i;

/** All parts are empty when the text is not an index. */
export function parseIndex(expression: string): IndexExpression {
  const match = INDEX.exec(cutWhere(expression).head);
  const empty = {
    unique: false,
    ifNotExists: false,
    schemaName: "",
    indexName: "",
    tableName: "",
    columns: [],
    where: "",
  };
  if (match === null) return empty;
  const names = splitTopLevel(match[3] ?? "", ".").map(unquote);
  const columns: IndexColumn[] = [];
  for (const raw of splitTopLevel(match[5] ?? "", ",")) {
    const parts = COLUMN.exec(raw.trim());
    const name = unquote(parts?.[1] ?? "");
    if (name !== "")
      columns.push({ name, collate: parts?.[2] ?? "", sort: (parts?.[3] ?? "").toUpperCase() });
  }
  return {
    unique: match[1] !== undefined,
    ifNotExists: match[2] !== undefined,
    schemaName: names.length === 2 ? (names[0] ?? "") : "",
    indexName: names.at(-1) ?? "",
    tableName: unquote(match[4] ?? ""),
    columns,
    where: cutWhere(expression).where,
  };
}

/** The WHERE clause begins after the parenthesis that closes the columns; its own parentheses are not theirs. */
function cutWhere(expression: string): { head: string; where: string } {
  const open = expression.indexOf("(");
  let depth = 0;
  for (let i = open; i >= 0 && i < expression.length; i++) {
    if (expression[i] === "(") depth++;
    if (expression[i] === ")" && --depth === 0) {
      const where = /^\s*where\s+([\s\S]*)$/i.exec(expression.slice(i + 1));
      return { head: expression.slice(0, i + 1), where: where?.[1]?.trim() ?? "" };
    }
  }
  return { head: expression, where: "" };
}

export function isValidIndex(index: IndexExpression): boolean {
  return index.indexName !== "" && index.tableName !== "" && index.columns.length > 0;
}

/** The index as SQL in PocketBase's layout; "" when it is not valid. */
export function buildIndex(index: IndexExpression): string {
  if (!isValidIndex(index)) return "";
  const columns = index.columns.map(({ name, collate, sort }) => {
    const isExpression = name.includes("(") || name.includes(" ");
    return [isExpression ? name : `\`${name}\``, collate && `COLLATE ${collate}`, sort]
      .filter(Boolean)
      .join(" ");
  });
  const inner = columns.length > 1 ? `\n  ${columns.join(",\n  ")}\n` : columns.join("");
  const schema = index.schemaName === "" ? "" : `\`${index.schemaName}\`.`;
  return (
    `CREATE ${index.unique ? "UNIQUE " : ""}INDEX ${index.ifNotExists ? "IF NOT EXISTS " : ""}` +
    `${schema}\`${index.indexName}\` ON \`${index.tableName}\` (${inner})` +
    (index.where === "" ? "" : ` WHERE ${index.where}`)
  );
}

/** The unique index on this column alone, whatever its WHERE says. */
export function singleUniqueIndex(indexes: readonly string[], column: string): IndexExpression | undefined {
  for (const expression of indexes) {
    const index = parseIndex(expression);
    if (
      index.unique &&
      index.columns.length === 1 &&
      index.columns[0]?.name.toLowerCase() === column.toLowerCase()
    ) {
      return index;
    }
  }
  return undefined;
}

function unquote(text: string): string {
  return text.replace(/^[`"'[\]\s]+|[`"'[\]\s]+$/g, "");
}
