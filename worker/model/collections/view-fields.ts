/** Fields of a view collection, inferred from its query (pocketbase.md §3). */
import { randomText } from "../../../shared/ids.ts";
import type { Collection, Field, Schema } from "../../../shared/schema/collection.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { explain } from "../../statements/explain.ts";
import { addField, readField } from "../fields/options.ts";
import { ID_ALPHABET } from "../fields/random-pattern.ts";
import { DEFAULT_ID_PATTERN } from "../fields/text.ts";
import { builtSql, oneStatement, quoteName } from "./sql-text.ts";
import { parseViewQuery, singleStatement, trimQuery, type Identifier } from "./view-query.ts";

const CAST = /^cast\s*\([\s\S]*\s+as\s+(\w+)\s*\)$/i;
const CAST_TYPES: Readonly<Record<string, string>> = {
  real: "number",
  integer: "number",
  int: "number",
  decimal: "number",
  numeric: "number",
  text: "text",
  boolean: "bool",
  bool: "bool",
};

interface ColumnInfo {
  name: string;
  type: string;
}

/** A column of a view and where its values come from, if they are a field's. */
export interface ViewColumn {
  field: Field;
  collection: Collection | undefined;
  original: Field | undefined;
}

/** @throws Error with PocketBase's text when the query cannot be a view */
export function viewFields(tx: WriteTransaction, schema: Schema, query: string): Field[] {
  const suggested = viewColumns(schema, query);
  const fields: Field[] = [];
  for (const { name } of queryColumns(tx, query))
    addField(fields, suggested.get(name)?.field ?? defaultField(name));
  if (!fields.some((field) => field.name === "id")) throw new MissingIdColumn(fields);
  return fields;
}

export class MissingIdColumn extends Error {
  readonly fields: Field[];
  constructor(fields: Field[]) {
    super("missing required id column (you can use `(ROW_NUMBER() OVER()) as id` if you don't have one)");
    this.fields = fields;
  }
}

/** By alias. */
export function viewColumns(schema: Schema, query: string): Map<string, ViewColumn> {
  const { columns, tables } = parseViewQuery(query);
  if (columns.some(({ alias }) => alias === "*")) {
    throw new Error(
      "wildcard columns (*) are not supported - manually type the collection field names you want the view query to have",
    );
  }
  const sources = new Map<string, Collection>();
  for (const { original, alias } of tables) {
    if (alias.includes("(")) continue;
    const collection = schema.collections.find((one) => one.name === original);
    if (collection !== undefined) sources.set(alias, collection);
  }
  const main = tables[0]?.alias;
  return new Map(columns.map((column) => [column.alias, resolve(column, sources, main)]));
}

function resolve(
  column: Identifier,
  sources: ReadonlyMap<string, Collection>,
  main: string | undefined,
): ViewColumn {
  const plain = (field: Field): ViewColumn => ({ field, collection: undefined, original: undefined });
  const { alias, original } = column;
  if (alias === "id") return plain(defaultField(alias));
  const aggregate = /^(count|total)\(/i.exec(original)?.[1]?.toLowerCase();
  if (aggregate !== undefined) {
    return plain(readField({ type: "number", name: alias, onlyInt: aggregate === "count" }));
  }
  const target = CAST.exec(original)?.[1]?.toLowerCase() ?? "";
  const cast = CAST_TYPES[target];
  if (cast !== undefined) {
    const isWhole = cast === "number" && (target === "int" || target === "integer");
    return plain(readField({ type: cast, name: alias, ...(isWhole ? { onlyInt: true } : {}) }));
  }
  const parts = original.split(".");
  const collection = sources.get(parts.length === 2 ? (parts[0] ?? "") : (main ?? ""));
  if (collection === undefined) return plain(defaultField(alias));
  const name = parts.length === 2 ? (parts[1] ?? "") : (parts[0] ?? "");
  const source = collection.fields.find((field) => field.name.toLowerCase() === name.toLowerCase());
  if (source === undefined) return { field: defaultField(alias), collection, original: undefined };
  if (name.toLowerCase() === "id") {
    const relation = readField({ type: "relation", name: alias, maxSelect: 1, collectionId: collection.id });
    return { field: relation, collection, original: undefined };
  }
  const clone = { ...source, id: `_clone_${randomText(4, ID_ALPHABET)}`, name: alias };
  return { field: clone, collection, original: source };
}

/** Of a column that is no field's. */
function defaultField(name: string): Field {
  if (name !== "id") return readField({ type: "json", name, maxSize: 1 });
  const id = { type: "text", name, system: true, required: true, primaryKey: true };
  return readField({ ...id, pattern: DEFAULT_ID_PATTERN });
}

/** Columns as SQLite sees them: the query is made a view for a moment. @throws what SQLite says of the query */
function queryColumns(tx: WriteTransaction, query: string): ColumnInfo[] {
  const name = `_temp_${randomText(6, ID_ALPHABET)}`;
  return tx.nested(() => {
    createView(tx, name, query);
    const columns = tableColumns(tx, name);
    tx.exec(`DROP VIEW ${quoteName(name)}`);
    return columns;
  });
}

function tableColumns(tx: WriteTransaction, name: string): ColumnInfo[] {
  return tx.values(`SELECT name, type FROM pragma_table_info(?)`, [name]).map(([column, type]) => ({
    name: String(column),
    type: String(type),
  }));
}

/** The query is wrapped, which also keeps a second statement from running. @throws what SQLite says */
export function createView(tx: WriteTransaction, name: string, query: string): void {
  tx.exec(`DROP VIEW IF EXISTS ${quoteName(name)}`);
  const select = builtSql(`SELECT * FROM (${singleStatement(query)})`);
  tx.exec(oneStatement(`CREATE VIEW ${quoteName(name)} AS ${select}`));
  // Missing tables and columns show only when the view is read; it is only compiled, since running it may take any time.
  explain(tx, `SELECT * FROM ${quoteName(name)}`);
}

/** The query with its id as text, because record ids are texts. @throws what SQLite says */
export function withTextId(tx: WriteTransaction, query: string): string {
  const trimmed = trimQuery(query);
  const id = queryColumns(tx, trimmed).find((column) => column.name.toLowerCase() === "id");
  if (id?.type.toUpperCase() === "TEXT") return trimmed;
  const columns = parseViewQuery(trimmed).columns.map(({ alias }) =>
    alias === "id" ? "CAST(`id` as TEXT) `id`" : quoteName(alias),
  );
  return `SELECT ${columns.join(",")} FROM (${trimmed})`;
}
