import type { ReferenceCollection } from "../collections/system-names.ts";
import { quoteName } from "../collections/sql-text.ts";
import type { RecordData } from "../contract.ts";
import { planOf } from "./plan.ts";
import { fromRow } from "./row.ts";
import type { RecordWriter } from "./write.ts";

/** Deletes the rows of `_otps`, `_mfas`… that belong to an auth record; how many there were. */
export function removeReferences(
  { tx, schema, tell }: RecordWriter,
  name: ReferenceCollection,
  of: RecordData,
): number {
  const collection = schema.find(name);
  if (collection === undefined) return 0;
  const rows = tx.all(`${planOf(collection).select} WHERE collectionRef = ? AND recordRef = ?`, [
    of.collection.id,
    of.id,
  ]);
  for (const row of rows) {
    const record = fromRow(collection, row);
    tx.run(`DELETE FROM ${quoteName(name)} WHERE id = ?`, [record.id]);
    tell({ action: "delete", collection, record, before: record });
  }
  return rows.length;
}
