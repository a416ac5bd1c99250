/** Trying a view query without keeping anything of it. */
import { limits } from "../../../shared/limits.ts";
import { randomText } from "../../../shared/ids.ts";
import type { Field } from "../../../shared/schema/collection.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { ALPHANUMERIC } from "../fields/random-pattern.ts";
import type { RecordData } from "../contract.ts";
import { fromRow } from "../records/row.ts";
import { newCollection } from "./defaults.ts";
import type { SchemaState } from "./state.ts";
import { quoteName } from "./sql-text.ts";
import { saveView } from "./views.ts";

export interface DryRun {
  fields: Field[];
  sample: RecordData[];
}

/** Fields and a few rows of a view with this query. @throws what SQLite or the view's rules say of it */
export function dryRunView(tx: WriteTransaction, state: SchemaState, query: string): DryRun {
  const view = newCollection("view", `temp_view_${randomText(5, ALPHANUMERIC)}`);
  view.options = { viewQuery: query };
  saveView(tx, state, view, undefined);
  const columns = view.fields.map(({ name }) => quoteName(name)).join(", ");
  const rows = tx.all(`SELECT ${columns} FROM ${quoteName(view.name)} LIMIT ${limits.viewSampleRows}`);
  return { fields: view.fields, sample: rows.map((row) => fromRow(view, row)) };
}
