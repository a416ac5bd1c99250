import type { Collection } from "../../shared/schema/collection.ts";
import { singleUniqueIndex } from "../model/collections/index-expression.ts";
import { quoteName } from "../model/collections/sql-text.ts";
import type { RecordData } from "../model/contract.ts";
import { modelOf } from "../model/model.ts";
import type { Observation, Tenant } from "../tenant/contract.ts";

/** Regardless of case only when the collection's unique index is. */
export function findByEmail(
  tenant: Tenant,
  seen: Observation,
  collection: Collection,
  email: string,
): RecordData | undefined {
  const column = singleUniqueIndex(collection.indexes, "email")?.columns[0];
  const collate = column?.collate.toUpperCase() === "NOCASE" ? " COLLATE NOCASE" : "";
  const sql = `SELECT * FROM ${quoteName(collection.name)} WHERE email = ?${collate} LIMIT 1`;
  const row = tenant.data.read(seen, (db) => db.get(sql, [email]));
  return row === undefined ? undefined : modelOf(tenant).fromRow(collection, row);
}
