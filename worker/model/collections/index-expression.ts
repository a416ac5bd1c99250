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

// Greedy, as PocketBase's: parentheses of a WHERE clause count to the columns, which makes the text no index.
const INDEX =
  /create[\t\n\f\r ]+(unique[\t\n\f\r ]+)?[\t\n\f\r ]*index[\t\n\f\r ]*(if[\t\n\f\r ]+not[\t\n\f\r ]+exists[\t\n\f\r ]+)?([^\t\n\f\r ]*)[\t\n\f\r ]+on[\t\n\f\r ]+([^\t\n\f\r ]*)[\t\n\f\r ]*\(([\s\S]*)\)(?:[\t\n\f\r ]*where[\t\n\f\r ]+([\s\S]*))?/i;
const COLUMN = /^([\s\S]+?)(?:\s+collate\s+(\w+))?(?:\s+(asc|desc))?$/im;

/** All parts are empty when the text is not an index. */
export function parseIndex(expression: string): IndexExpression {
  const match = INDEX.exec(expression);
  const names = parts(match?.[3], ".").map(unquote);
  const columns: IndexColumn[] = [];
  for (const raw of parts(match?.[5], ",")) {
    const column = COLUMN.exec(raw);
    const name = unquote(column?.[1] ?? "");
    if (name !== "")
      columns.push({ name, collate: column?.[2] ?? "", sort: (column?.[3] ?? "").toUpperCase() });
  }
  return {
    unique: match?.[1] !== undefined,
    ifNotExists: match?.[2] !== undefined,
    schemaName: names.length === 2 ? (names[0] ?? "") : "",
    indexName: (names.length === 2 ? names[1] : names[0]) ?? "",
    tableName: unquote(match?.[4] ?? ""),
    columns,
    where: match?.[6]?.trim() ?? "",
  };
}

/** None when a quote or a parenthesis is not closed. */
function parts(text: string | undefined, separator: string): string[] {
  try {
    return splitTopLevel(text ?? "", separator);
  } catch {
    return [];
  }
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
  return text.replace(/^[`"'[\]\r\n\t\f\v ]+|[`"'[\]\r\n\t\f\v ]+$/g, "");
}
