import type { Schema } from "../../../shared/schema/collection.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import { OAUTH2_PROVIDERS } from "../collections/oauth2-providers.ts";
import { REFERENCE_COLLECTIONS } from "../collections/system-names.ts";
import { quoteName } from "../collections/sql-text.ts";
import type { ErrorData, FieldError, PendingRecord } from "../contract.ts";
import { fieldError } from "../field-error.ts";
import { toText } from "../fields/cast.ts";
import { planOf } from "./plan.ts";

/** Errors by field; without `db` what needs the database is not checked. */
export function recordErrors(
  pending: PendingRecord,
  schema: Schema,
  db: SqlReader | undefined,
): ErrorData | undefined {
  let errors: ErrorData | undefined;
  const { collection, before, id, uploads, passwords, values } = pending;
  for (const { field, name, type } of planOf(collection).fields) {
    const error = type.validate(field, values[name], {
      collection,
      schema,
      isNew: before === undefined,
      id,
      before: before?.values[name],
      uploads,
      password: passwords.get(name),
      db,
    });
    if (error === undefined) continue;
    errors ??= {};
    errors[name] = error;
  }
  return errors ?? (collection.system && db !== undefined ? referenceErrors(pending, schema, db) : undefined);
}

/** `_externalAuths` and its like point to a record of any auth collection. */
function referenceErrors(
  { collection, values }: PendingRecord,
  schema: Schema,
  db: SqlReader,
): ErrorData | undefined {
  if (!(REFERENCE_COLLECTIONS as readonly string[]).includes(collection.name)) return undefined;
  const target = schema.collections.find((other) => other.id === values["collectionRef"]);
  const collectionRef = targetError(target?.type);
  if (target === undefined || collectionRef !== undefined) return collectionRef && { collectionRef };
  const found = db.get(`SELECT 1 FROM ${quoteName(target.name)} WHERE id = ? LIMIT 1`, [
    toText(values["recordRef"]),
  ]);
  if (found === undefined) {
    return { recordRef: fieldError("validation_invalid_record", "Missing or invalid record.") };
  }
  const isProvider =
    collection.name !== "_externalAuths" || OAUTH2_PROVIDERS.includes(toText(values["provider"]));
  return isProvider ? undefined : { provider: fieldError("validation_in_invalid", "Must be a valid value.") };
}

function targetError(type: string | undefined): FieldError | undefined {
  if (type === undefined) {
    return fieldError("validation_invalid_collection_id", "Missing or invalid collection.");
  }
  return type === "auth"
    ? undefined
    : fieldError("validation_invalid_collection_type", "Invalid collection type - must be auth.");
}
