/** What follows from a change of an auth record by itself (pocketbase.md §5, "Automatic consequences"). */
import { SUPERUSERS } from "../collections/system-names.ts";
import type { PendingRecord, RecordData } from "../contract.ts";
import { optionText } from "../fields/field-type.ts";
import { randomByPattern } from "../fields/random-pattern.ts";
import { planOf } from "./plan.ts";
import { removeReferences } from "./references.ts";
import { removeRecord } from "./remove.ts";
import { fromRow } from "./row.ts";
import type { RecordWriter } from "./write.ts";

/** The account of a first start that the installer page uses; a real superuser replaces it. */
export const INSTALLER_EMAIL = "__pbinstaller@example.com";

export function beforeAuthChange(writer: RecordWriter, pending: PendingRecord): void {
  const { collection, before, values } = pending;
  if (collection.name === SUPERUSERS) values["verified"] = true;
  if (before === undefined) return;
  const old = before.values;
  const secretsChanged = values["password"] !== old["password"] || values["email"] !== old["email"];
  let renew = secretsChanged;
  if (old["verified"] !== true && values["verified"] === true) {
    // Whoever linked an account before the address was proven may not be its owner.
    renew = removeReferences(writer, "_externalAuths", before) > 0 || renew;
  }
  if (renew && values["tokenKey"] === old["tokenKey"]) values["tokenKey"] = newTokenKey(pending);
}

export function afterAuthChange(
  writer: RecordWriter,
  record: RecordData,
  before: RecordData | undefined,
): void {
  if (before === undefined) {
    if (record.collection.name === SUPERUSERS) removeInstaller(writer, record);
    return;
  }
  if (record.values["password"] !== before.values["password"]) {
    removeReferences(writer, "_mfas", record);
    removeReferences(writer, "_authOrigins", record);
  }
  if (record.values["tokenKey"] !== before.values["tokenKey"]) removeReferences(writer, "_otps", record);
}

/** A new token key ends every token of the record. */
export function newTokenKey({ collection }: { collection: PendingRecord["collection"] }): string {
  const field = planOf(collection).byName.get("tokenKey")?.field;
  const pattern = field === undefined ? "" : optionText(field, "autogeneratePattern");
  return randomByPattern(pattern === "" ? "[a-zA-Z0-9]{50}" : pattern);
}

function removeInstaller(writer: RecordWriter, { collection, values }: RecordData): void {
  if (values["email"] === INSTALLER_EMAIL) return;
  const row = writer.tx.get(`${planOf(collection).select} WHERE email = ? LIMIT 1`, [INSTALLER_EMAIL]);
  if (row !== undefined) removeRecord(writer, fromRow(collection, row));
}
