import { type Collection, type Schema, isMultiple } from "../../../shared/schema/collection.ts";
import { toText } from "../../model/fields/cast.ts";
import { quoteName } from "../../model/collections/sql-text.ts";
import type { SqlReader } from "../../sqlite/contract.ts";

/**
 * The record that a view's file comes from. Stored names end in random characters, so the name alone identifies the file;
 * only collections that the view's query mentions (directly or through other views) are searched.
 */
export function findViewFileOwner(
  schema: Schema,
  db: SqlReader,
  view: Collection,
  name: string,
): { collectionId: string; recordId: string } | undefined {
  for (const collection of sourcesOf(schema, view, 5)) {
    const table = quoteName(collection.name);
    for (const field of collection.fields) {
      if (field.type !== "file") continue;
      const column = `${table}.${quoteName(field.name)}`;
      const condition = isMultiple(field)
        ? `json_valid(${column}) AND EXISTS (SELECT 1 FROM json_each(${column}) WHERE value = ?)`
        : `${column} = ?`;
      const id = db.values(`SELECT id FROM ${table} WHERE ${condition} LIMIT 1`, [name])[0]?.[0];
      if (typeof id === "string") return { collectionId: collection.id, recordId: id };
    }
  }
  return undefined;
}

function sourcesOf(schema: Schema, view: Collection, depth: number): Set<Collection> {
  const words = new Set(toText(view.options["viewQuery"]).toLowerCase().match(/\w+/g));
  const found = new Set<Collection>();
  for (const collection of schema.collections) {
    if (collection.id === view.id || !words.has(collection.name.toLowerCase())) continue;
    if (collection.type !== "view") found.add(collection);
    else if (depth > 1) for (const source of sourcesOf(schema, collection, depth - 1)) found.add(source);
  }
  return found;
}
