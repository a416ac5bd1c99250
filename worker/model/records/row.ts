import type { Collection } from "../../../shared/schema/collection.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { RecordData, RecordValues } from "../contract.ts";
import { toText } from "../fields/cast.ts";
import { planOf } from "./plan.ts";

/** A stored row, whatever version wrote it, as canonical values. */
export function fromRow(collection: Collection, row: Readonly<Record<string, unknown>>): RecordData {
  const values: RecordValues = {};
  for (const { field, name, type } of planOf(collection).fields)
    values[name] = type.fromColumn(field, row[name]);
  return { collection, id: toText(row["id"]), values };
}

export function findRecord(db: SqlReader, collection: Collection, id: string): RecordData | undefined {
  const row = db.get(`${planOf(collection).select} WHERE id = ? LIMIT 1`, [id]);
  return row === undefined ? undefined : fromRow(collection, row);
}

/** In the order of `ids`; missing ones are left out. */
export function findRecords(db: SqlReader, collection: Collection, ids: readonly string[]): RecordData[] {
  if (ids.length === 0) return [];
  if (ids.length === 1) {
    const one = findRecord(db, collection, ids[0] ?? "");
    return one === undefined ? [] : [one];
  }
  const rows = db.all(`${planOf(collection).select} WHERE id IN (SELECT value FROM json_each(?))`, [
    JSON.stringify(ids),
  ]);
  const byId = new Map(rows.map((row) => [row["id"], row]));
  return ids.flatMap((id) => {
    const row = byId.get(id);
    return row === undefined ? [] : [fromRow(collection, row)];
  });
}
