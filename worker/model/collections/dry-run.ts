/** Trying a view query: whether it can be a view, and what it gives. */
import { randomText } from "../../../shared/ids.ts";
import type { Collection, Field, Schema } from "../../../shared/schema/collection.ts";
import type { SqlRow } from "../../sqlite/contract.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { ALPHANUMERIC } from "../fields/random-pattern.ts";
import { validateField } from "../fields/options.ts";
import type { RecordData, ViewSamples } from "../contract.ts";
import { plainErrors } from "../plain-errors.ts";
import { reasonOf } from "../reason.ts";
import { fromRow } from "../records/row.ts";
import { newCollection } from "./defaults.ts";
import type { SchemaState } from "./state.ts";
import { viewFields, withTextId } from "./view-fields.ts";
import { singleStatement } from "./view-query.ts";

export interface DryRun {
  fields: Field[];
  sample: RecordData[];
}

/** @param samples - rows are records' only where the query was tried. @throws Error with PocketBase's text of what is wrong */
export function dryRunView(
  tx: WriteTransaction,
  state: SchemaState,
  query: string,
  samples: ViewSamples | undefined,
): DryRun {
  const view = newCollection("view", `temp_view_${randomText(5, ALPHANUMERIC)}`);
  const text = singleStatement(query);
  view.fields = viewFields(tx, state.in(tx), text);
  checkFields(view, state.in(tx));
  normalised(tx, text);
  const rows = samples?.get(query) ?? [];
  if (rows instanceof Error) throw new Error(`failed to retrieve query records: ${reasonOf(rows)}`);
  checkIds(rows);
  // A view's id is a text, whatever its query makes of it.
  const sample = rows.map((row) => fromRow(view, { ...row, id: idText(row) }));
  return { fields: view.fields, sample };
}

/** The query as it is stored. @throws what SQLite says */
export function normalised(tx: WriteTransaction, query: string): string {
  try {
    return withTextId(tx, query);
  } catch (cause) {
    throw new Error(`failed to normalize view query id: ${reasonOf(cause)}`, { cause });
  }
}

function checkFields(view: Collection, schema: Schema): void {
  for (const [index, field] of view.fields.entries()) {
    const errors = validateField(field, { collection: view, before: undefined, schema });
    if (errors !== undefined) {
      throw new Error(`invalid field ${JSON.stringify(field.name)} (${index}): ${plainErrors(errors)}`);
    }
  }
}

/** The rows that are looked at are a sample: a helpful word, and no guarantee. */
function checkIds(rows: readonly SqlRow[]): void {
  const ids = new Set<string>();
  for (const row of rows) {
    const id = idText(row);
    if (id === "") throw new Error("the query could return records with empty or invalid ids");
    if (ids.has(id)) throw new Error("the query could return records with non-unique ids");
    ids.add(id);
  }
}

function idText({ id }: SqlRow): string {
  return id === null || id === undefined ? "" : String(id);
}
