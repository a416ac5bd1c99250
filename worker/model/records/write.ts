/** The SQL of a record's change, and who must be told of it. */
import { UserError } from "../../../shared/errors.ts";
import type { Collection, Schema } from "../../../shared/schema/collection.ts";
import type { SqlValue } from "../../sqlite/contract.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { quoteName } from "../collections/sql-text.ts";
import {
  ValidationFailure,
  type ErrorData,
  type RecordChange,
  type RecordData,
  type RecordValues,
} from "../contract.ts";
import { fieldError } from "../field-error.ts";
import { nowText } from "../fields/date-text.ts";
import { flag } from "../fields/field-type.ts";
import { weighTriggers } from "../../statements/trigger-weight.ts";
import { planOf } from "./plan.ts";

/** The transaction as record code sees it: the schema in it, and how a change is told. */
export interface RecordWriter {
  readonly tx: WriteTransaction;
  readonly schema: Schema;
  readonly tell: (change: RecordChange) => void;
}

/** Stores values without validating them; dates are set, listeners told. */
export function writeRecord(
  { tx, schema, tell }: RecordWriter,
  collection: Collection,
  before: RecordData | undefined,
  given: Readonly<RecordValues>,
): RecordData {
  const values = { ...given };
  setDates(collection, before === undefined, values);
  const id = before?.id ?? String(values["id"]);
  try {
    if (before === undefined) insert(tx, schema, collection, values);
    else update(tx, schema, before, values);
  } catch (error) {
    throw uniqueErrors(error, collection) ?? error;
  }
  const record: RecordData = { collection, id, values };
  tell({ action: before === undefined ? "create" : "update", collection, record, before });
  return record;
}

function setDates(collection: Collection, isNew: boolean, values: RecordValues): void {
  let now: string | undefined;
  for (const { field, name, type } of planOf(collection).fields) {
    if (type.type === "autodate" && flag(field, isNew ? "onCreate" : "onUpdate")) {
      now ??= nowText();
      values[name] = now;
    }
  }
}

function insert(tx: WriteTransaction, schema: Schema, collection: Collection, values: RecordValues): void {
  const plan = planOf(collection);
  weighTriggers(tx, schema, collection.name, plan.insert);
  tx.run(
    plan.insert,
    plan.fields.map(({ field, name, type }) => type.toColumn(field, values[name])),
  );
}

/** Only what has changed, so that two writers of different fields do not undo each other. */
function update(tx: WriteTransaction, schema: Schema, before: RecordData, values: RecordValues): void {
  const { collection } = before;
  const columns: string[] = [];
  const params: SqlValue[] = [];
  for (const { field, name, type } of planOf(collection).fields) {
    if (values[name] === before.values[name]) continue;
    const column = type.toColumn(field, values[name]);
    if (column === type.toColumn(field, before.values[name])) continue;
    columns.push(`${quoteName(name)} = ?`);
    params.push(column);
  }
  if (columns.length === 0) return;
  const sql = `UPDATE ${quoteName(collection.name)} SET ${columns.join(", ")} WHERE id = ?`;
  weighTriggers(tx, schema, collection.name, sql);
  const { changes } = tx.run(sql, [...params, before.id]);
  if (changes === 0) throw new UserError("not_found", "The requested resource wasn't found.");
}

/** SQLite names the columns of the violated index: `UNIQUE constraint failed: users.email, users.name`. */
function uniqueErrors(error: unknown, collection: Collection): ValidationFailure | undefined {
  const list =
    error instanceof Error ? /unique constraint failed: (.*)$/i.exec(error.message)?.[1] : undefined;
  if (list === undefined) return undefined;
  const named = new Set(list.split(",").map((column) => column.trim().toLowerCase()));
  const errors: ErrorData = {};
  for (const { name } of collection.fields) {
    if (named.has(`${collection.name}.${name}`.toLowerCase())) {
      errors[name] = fieldError("validation_not_unique", "Value must be unique.");
    }
  }
  return Object.keys(errors).length > 0 ? new ValidationFailure(errors) : undefined;
}
