import type { PendingRecord } from "../../model/contract.ts";
import { planOf } from "../../model/records/plan.ts";
import type { SqlValue } from "../../sqlite/contract.ts";

/** The columns of a record that is not yet saved, as SQLite will hold them. */
export function toNewRow(pending: PendingRecord): Record<string, SqlValue> {
  const row: Record<string, SqlValue> = { id: pending.id };
  for (const { field, name, type } of planOf(pending.collection).fields) {
    if (name !== "id") row[name] = type.toColumn(field, pending.values[name]);
  }
  return row;
}
