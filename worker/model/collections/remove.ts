import type { Collection } from "../../../shared/schema/collection.ts";
import { reasonOf } from "../reason.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { referencesTo, withoutCollection } from "./schema.ts";
import { quoteName } from "./sql-text.ts";
import type { SchemaState } from "./state.ts";
import { REFERENCE_COLLECTIONS } from "./system-names.ts";
import { refreshViews } from "./views.ts";

/**
 * Drops the table or view with all its rows. `checked` is false for an import, which may leave references to be mended later.
 * @throws Error when it is a system collection, or something still refers to it
 */
export function removeCollection(
  tx: WriteTransaction,
  state: SchemaState,
  collection: Collection,
  checked = true,
): void {
  const { name } = collection;
  if (collection.system) throw new Error(`[${name}] system collections cannot be deleted`);
  if (checked) {
    const names = referencesTo(state.in(tx), collection)
      .map((reference) => reference.collection)
      .filter((other) => other.id !== collection.id)
      .map((other) => other.name);
    if (names.length > 0) {
      throw new Error(`[${name}] failed to delete due to existing relation references: ${names.join(", ")}`);
    }
  }
  tx.exec(`DROP ${collection.type === "view" ? "VIEW" : "TABLE"} IF EXISTS ${quoteName(name)}`);
  tx.run("DELETE FROM `_collections` WHERE id = ?", [collection.id]);
  const known = state.in(tx);
  state.change(tx, withoutCollection(known, collection.id));
  if (checked) refreshOrExplain(tx, state, name);
  if (collection.type !== "auth") return;
  for (const reference of REFERENCE_COLLECTIONS) {
    if (known.find(reference) === undefined) continue;
    tx.run(`DELETE FROM ${quoteName(reference)} WHERE collectionRef = ?`, [collection.id]);
  }
}

function refreshOrExplain(tx: WriteTransaction, state: SchemaState, name: string): void {
  try {
    refreshViews(tx, state);
  } catch (cause) {
    const reason = reasonOf(cause);
    throw new Error(`[${name}] failed to delete due to existing view dependency: ${reason}`, { cause });
  }
}
