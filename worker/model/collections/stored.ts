/** Collections as rows of `_collections`. */
import type { Collection, CollectionType } from "../../../shared/schema/collection.ts";
import type { SqlReader, SqlRow, SqlWriter } from "../../sqlite/contract.ts";
import { toBool, toText } from "../fields/cast.ts";
import { readField } from "../fields/options.ts";
import { readAuthOptions } from "./auth-options.ts";

const COLUMNS = [
  "id",
  "system",
  "type",
  "name",
  "fields",
  "indexes",
  "listRule",
  "viewRule",
  "createRule",
  "updateRule",
  "deleteRule",
  "options",
  "created",
  "updated",
] as const;
const SELECT = `SELECT ${COLUMNS.map((column) => `\`${column}\``).join(", ")} FROM \`_collections\``;

/** All collections, oldest first. */
export function loadCollections(db: SqlReader): Collection[] {
  return db.all(`${SELECT} ORDER BY created, _rowid_`).map(fromRow);
}

export function fromRow(row: SqlRow): Collection {
  const type = toText(row["type"]) as CollectionType;
  const options = parse(row["options"], {}) as Record<string, unknown>;
  return {
    id: toText(row["id"]),
    name: toText(row["name"]),
    type,
    system: toBool(row["system"]),
    fields: (parse(row["fields"], []) as unknown[]).map(readField),
    indexes: parse(row["indexes"], []) as string[],
    listRule: rule(row["listRule"]),
    viewRule: rule(row["viewRule"]),
    createRule: rule(row["createRule"]),
    updateRule: rule(row["updateRule"]),
    deleteRule: rule(row["deleteRule"]),
    created: toText(row["created"]),
    updated: toText(row["updated"]),
    options: readOptions(type, options),
  };
}

/** Options of a type, complete; other types' are dropped. @throws InvalidInput */
export function readOptions(
  type: CollectionType,
  input: unknown,
  current?: unknown,
): Record<string, unknown> {
  if (type === "auth") return readAuthOptions(input, current);
  if (type !== "view") return {};
  const old = (current ?? {}) as Record<string, unknown>;
  const query = (input as Record<string, unknown> | undefined)?.["viewQuery"];
  return { viewQuery: typeof query === "string" ? query : toText(old["viewQuery"]) };
}

export function insertCollection(db: SqlWriter, collection: Collection): void {
  db.run(
    `INSERT INTO \`_collections\` (${COLUMNS.map((c) => `\`${c}\``).join(", ")}) VALUES (${COLUMNS.map(() => "?").join(", ")})`,
    values(collection),
  );
}

export function updateCollectionRow(db: SqlWriter, collection: Collection): void {
  db.run(`UPDATE \`_collections\` SET ${COLUMNS.map((c) => `\`${c}\` = ?`).join(", ")} WHERE id = ?`, [
    ...values(collection),
    collection.id,
  ]);
}

function values(collection: Collection): (string | number | null)[] {
  return COLUMNS.map((column) => {
    if (column === "fields" || column === "indexes" || column === "options") return json(collection[column]);
    if (column === "system") return collection.system ? 1 : 0;
    return collection[column];
  });
}

/** As PocketBase writes it: markup characters escaped, so that an exported file compares equal. */
function json(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function parse(stored: unknown, fallback: unknown): unknown {
  const text = stored instanceof Uint8Array ? new TextDecoder().decode(stored) : toText(stored);
  return text === "" ? fallback : (JSON.parse(text) ?? fallback);
}

function rule(stored: unknown): string | null {
  return stored === null || stored === undefined ? null : toText(stored);
}
