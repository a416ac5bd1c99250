/** Saving a record: validation and the consequences that PocketBase ties to it. Runs inside the transaction. */
import type { Collection, Schema } from "../../../shared/schema/collection.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import { quoteName } from "../collections/sql-text.ts";
import { ValidationFailure, type PendingRecord, type RecordData } from "../contract.ts";
import { fieldError } from "../field-error.ts";
import { afterAuthChange, beforeAuthChange } from "./auth-changes.ts";
import { isHashed } from "./passwords.ts";
import { recordErrors } from "./validate.ts";
import { writeRecord, type RecordWriter } from "./write.ts";

/** @throws ValidationFailure; UserError `not_found` when the record is gone by now */
export function saveRecord(writer: RecordWriter, pending: PendingRecord): RecordData {
  if (!isHashed(pending)) throw new Error("Cannot save record: its password was not hashed");
  const { collection, before } = pending;
  if (collection.type === "auth") beforeAuthChange(writer, pending);
  const errors = recordErrors(pending, writer.schema, writer.tx);
  if (errors !== undefined) throw new ValidationFailure(errors);
  if (collection.type === "auth" && before === undefined) refuseSharedId(writer, collection, pending.id);
  // What signing in writes is small, and who cannot sign in cannot delete.
  if (!collection.system) writer.tx.withinQuota();
  const record = writeRecord(writer, collection, before, pending.values);
  if (collection.type === "auth") afterAuthChange(writer, record, before);
  return record;
}

/** An auth record's id must be unique across all auth collections, because references may carry it without the collection. */
function refuseSharedId(
  { tx, schema }: { tx: SqlReader; schema: Schema },
  own: Collection,
  id: string,
): void {
  for (const other of schema.collections) {
    if (other.type !== "auth" || other.id === own.id) continue;
    if (tx.get(`SELECT 1 FROM ${quoteName(other.name)} WHERE id = ? LIMIT 1`, [id]) !== undefined) {
      throw new ValidationFailure({
        id: fieldError("validation_invalid_auth_id", "Invalid or duplicated auth record id."),
      });
    }
  }
}
