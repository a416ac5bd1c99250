/** Saving view collections, and saving them again when what they select from has changed. */
import type { Collection, Field } from "../../../shared/schema/collection.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { nowText } from "../fields/date-text.ts";
import { withCollection } from "./schema.ts";
import { quoteName } from "./sql-text.ts";
import type { SchemaState } from "./state.ts";
import { updateCollectionRow } from "./stored.ts";
import { normalised } from "./dry-run.ts";
import { createView, viewFields } from "./view-fields.ts";

export const viewQueryOf = (collection: Collection): string => {
  const query = collection.options["viewQuery"];
  return typeof query === "string" ? query : "";
};

/** (Re)creates the SQL view and gives the collection the fields of its query. @throws what SQLite says */
export function saveView(
  tx: WriteTransaction,
  state: SchemaState,
  collection: Collection,
  oldName: string | undefined,
): void {
  const query = viewQueryOf(collection);
  collection.fields = viewFields(tx, state.in(tx), query);
  if (oldName !== undefined) tx.exec(`DROP VIEW IF EXISTS ${quoteName(oldName)}`);
  createView(tx, collection.name, normalised(tx, query));
}

/** Views whose fields are no longer what their query gives are saved again. @throws when one no longer works */
export function refreshViews(tx: WriteTransaction, state: SchemaState, exceptId: string): void {
  for (const view of state.in(tx).collections) {
    if (view.type !== "view" || view.id === exceptId) continue;
    const fields = viewFields(tx, state.in(tx), viewQueryOf(view));
    if (withoutIds(fields) === withoutIds(view.fields)) continue;
    const changed = { ...view, updated: nowText() };
    saveView(tx, state, changed, view.name);
    updateCollectionRow(tx, changed);
    state.change(tx, withCollection(state.in(tx), changed));
  }
}

function withoutIds(fields: readonly Field[]): string {
  return JSON.stringify(fields.map((field) => ({ ...field, id: "" })));
}
