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

/**
 * Views whose fields are no longer what their query gives are saved again.
 * @param saved - a collection as it is, and as it was: only views over it are looked at. SQLite has to compile each, and an import
 *   saves as many collections as there are.
 * @throws when one no longer works
 */
export function refreshViews(tx: WriteTransaction, state: SchemaState, saved?: readonly Collection[]): void {
  const { collections } = state.in(tx);
  const views = collections.filter(({ type }) => type === "view");
  for (const view of saved === undefined ? views : viewsOver(views, saved)) {
    const fields = viewFields(tx, state.in(tx), viewQueryOf(view));
    if (withoutIds(fields) === withoutIds(view.fields)) continue;
    const changed = { ...view, updated: nowText() };
    saveView(tx, state, changed, view.name);
    updateCollectionRow(tx, changed);
    state.change(tx, withCollection(state.in(tx), changed));
  }
}

/** Those whose query mentions one of the sources, itself or through other views; in the order given. */
function viewsOver(views: readonly Collection[], sources: readonly Collection[]): Collection[] {
  const names = new Set(sources.map(({ name }) => name.toLowerCase()));
  const ids = new Set(sources.map(({ id }) => id));
  const words = views.map((view) => new Set(viewQueryOf(view).toLowerCase().match(/\w+/g)));
  const isOver = views.map(() => false);
  for (let grew = true; grew;) {
    grew = false;
    for (const [index, view] of views.entries()) {
      if (isOver[index] === true || ids.has(view.id) || words[index]?.isDisjointFrom(names) !== false)
        continue;
      isOver[index] = grew = true;
      names.add(view.name.toLowerCase());
    }
  }
  return views.filter((_, index) => isOver[index]);
}

function withoutIds(fields: readonly Field[]): string {
  return JSON.stringify(fields.map((field) => ({ ...field, id: "" })));
}
