/** Deleting a record and what refers to it (pocketbase.md §4, "Relations on delete"). */
import { limits } from "../../../shared/limits.ts";
import { isMultiple, type Collection, type Field, type Schema } from "../../../shared/schema/collection.ts";
import { UserError } from "../../../shared/errors.ts";
import { REFERENCE_COLLECTIONS, SUPERUSERS } from "../collections/system-names.ts";
import { referencesTo } from "../collections/schema.ts";
import { quoteName } from "../collections/sql-text.ts";
import { ValidationFailure, type RecordData } from "../contract.ts";
import { toTexts } from "../fields/cast.ts";
import { flag } from "../fields/field-type.ts";
import { weighTriggers } from "../../statements/trigger-weight.ts";
import { planOf } from "./plan.ts";
import { removeReferences } from "./references.ts";
import { fromRow } from "./row.ts";
import { writeRecord, type RecordWriter } from "./write.ts";

interface Reference {
  collection: Collection;
  field: Field;
}

const references = new WeakMap<Schema, Map<string, Reference[]>>();

/**
 * Does nothing when the record is gone already. Listeners hear of the record first, then of what followed.
 * @throws ValidationFailure without field errors when a required relation forbids it; UserError `last_superuser`
 */
export function removeRecord(writer: RecordWriter, record: RecordData): void {
  const { tx, tell } = writer;
  const { collection } = record;
  if (collection.type === "view") throw new Error("Cannot delete record: it belongs to a view");
  if (collection.name === SUPERUSERS) keepOneSuperuser(writer);
  const sql = `DELETE FROM ${quoteName(collection.name)} WHERE id = ?`;
  weighTriggers(tx, writer.schema, collection.name, sql);
  const { changes } = tx.run(sql, [record.id]);
  if (changes === 0) return;
  tell({ action: "delete", collection, record, before: record });
  if (collection.type === "auth") {
    for (const name of REFERENCE_COLLECTIONS) removeReferences(writer, name, record);
  }
  for (const reference of referencesOf(writer.schema, collection)) release(writer, record, reference);
}

function keepOneSuperuser({ tx }: RecordWriter): void {
  if (tx.values(`SELECT 1 FROM ${quoteName(SUPERUSERS)} LIMIT 2`).length < 2) {
    throw new UserError("last_superuser", "You can't delete the only existing superuser.");
  }
}

/** By collection name, so that what follows a delete always comes in the same order. */
function referencesOf(schema: Schema, target: Collection): readonly Reference[] {
  let byTarget = references.get(schema);
  if (byTarget === undefined) references.set(schema, (byTarget = new Map()));
  let found = byTarget.get(target.id);
  if (found === undefined) {
    found = referencesTo(schema, target)
      .filter(({ collection }) => collection.type !== "view")
      .toSorted((a, b) => (a.collection.name < b.collection.name ? -1 : 1))
      .flatMap(({ collection, fields }) => fields.map((field) => ({ collection, field })));
    byTarget.set(target.id, found);
  }
  return found;
}

/** Takes the id out of every record that has it, in batches; each pass shrinks what is left. */
function release(writer: RecordWriter, gone: RecordData, { collection, field }: Reference): void {
  // With its table: a field may be called `root`, `parent` or another name of a column of json_each.
  const column = `${quoteName(collection.name)}.${quoteName(field.name)}`;
  const where = isMultiple(field)
    ? `EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(${column}) THEN ${column} ELSE json_array(${column}) END) AS je WHERE je.value = ?)`
    : `${column} = ?`;
  const sql = `${planOf(collection).select} WHERE ${where} LIMIT ${limits.cascadeBatch}`;
  for (;;) {
    const rows = writer.tx.all(sql, [gone.id]);
    let isStale = false;
    for (const row of rows) {
      const released = releaseOne(writer, gone, fromRow(collection, row), field, isStale);
      if (released === "removed") isStale = true;
    }
    if (rows.length < limits.cascadeBatch) return;
  }
}

/** @param isStale - what went before may have changed the stored row since it was read */
function releaseOne(
  writer: RecordWriter,
  gone: RecordData,
  referrer: RecordData,
  field: Field,
  isStale: boolean,
): "removed" | "kept" {
  const left = toTexts(referrer.values[field.name]).filter((id) => id !== gone.id);
  if (left.length === 0 && flag(field, "cascadeDelete")) {
    removeRecord(writer, referrer);
    return "removed";
  }
  // Without field errors: the client is told by the request's own message.
  if (left.length === 0 && flag(field, "required")) throw new ValidationFailure({});
  // Not validated: another relation of the referrer may point to what this very change has deleted.
  const values = { ...referrer.values, [field.name]: isMultiple(field) ? left : (left.at(-1) ?? "") };
  const stored = isStale ? storedNow(writer, referrer) : referrer;
  // PocketBase saves the whole row as it had read it: what a cascade has just taken out of it is in it again.
  if (stored !== undefined) writeRecord(writer, referrer.collection, stored, values);
  return "kept";
}

function storedNow({ tx }: RecordWriter, { collection, id }: RecordData): RecordData | undefined {
  const row = tx.get(`${planOf(collection).select} WHERE id = ?`, [id]);
  return row === undefined ? undefined : fromRow(collection, row);
}
