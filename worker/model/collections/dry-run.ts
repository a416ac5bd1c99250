/** Trying a view query without keeping anything of it. */
import { randomText } from "../../../shared/ids.ts";
import type { Field } from "../../../shared/schema/collection.ts";
import type { SqlRow } from "../../sqlite/contract.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { ALPHANUMERIC } from "../fields/random-pattern.ts";
import type { RecordData } from "../contract.ts";
import { fromRow } from "../records/row.ts";
import { newCollection } from "./defaults.ts";
import type { SchemaState } from "./state.ts";
import { saveView } from "./views.ts";

export interface DryRun {
  fields: Field[];
  sample: RecordData[];
}

/** @param rows - what the query gave when it was run. @throws what SQLite or the view's rules say of it */
export function dryRunView(
  tx: WriteTransaction,
  state: SchemaState,
  query: string,
  rows: readonly SqlRow[],
): DryRun {
  const view = newCollection("view", `temp_view_${randomText(5, ALPHANUMERIC)}`);
  view.options = { viewQuery: query };
  saveView(tx, state, view, undefined);
  // A view's id is a text, whatever its query makes of it.
  const records = rows.map((row) => ({ ...row, id: row["id"] === null ? null : String(row["id"]) }));
  return { fields: view.fields, sample: records.map((row) => fromRow(view, row)) };
}
