/** Rows that are the API's JSON as SQLite returns them: nothing is copied on the way from the statement to the answer. */
import type { Collection } from "../../../shared/schema/collection.ts";
import { quoteName } from "../collections/sql-text.ts";
import { planOf, type PlannedField } from "./plan.ts";

export type JsonRow = Record<string, unknown>;

/** For records without anything that differs from row to row: no emails to hide, nothing expanded. */
export interface JsonRows {
  /** What to select from the collection's table, named: the keys of the record's JSON in order. */
  readonly columns: string;
  /** A whole statement with the id as its parameter. */
  readonly byId: string;
  /** Makes the values of a row of `columns` canonical, in place. */
  complete(row: JsonRow): JsonRow;
}

const made = new WeakMap<Collection, { open: JsonRows | undefined; all: JsonRows | undefined }>();

/** @param hidden - hidden fields too. Undefined for collections whose records hide their emails one by one: auth. */
export function jsonRowsOf(collection: Collection, hidden: boolean): JsonRows | undefined {
  let known = made.get(collection);
  if (known === undefined) {
    known = { open: makeRows(collection, false), all: makeRows(collection, true) };
    made.set(collection, known);
  }
  return hidden ? known.all : known.open;
}

function makeRows(collection: Collection, hidden: boolean): JsonRows | undefined {
  if (collection.type === "auth") return undefined;
  const table = quoteName(collection.name);
  const columns: string[] = [];
  const fields: PlannedField[] = [];
  for (const { key, planned } of planOf(collection).json) {
    if (planned === undefined) {
      if (key !== "expand") columns.push(`${literal(key, collection)} AS ${quoteName(key)}`);
    } else if (planned.type.type === "password") {
      if (hidden || !planned.field.hidden) columns.push(`'' AS ${quoteName(key)}`);
    } else if (hidden || !planned.field.hidden) {
      columns.push(`${table}.${quoteName(key)}`);
      fields.push(planned);
    } else if (key === "id") {
      // Without it DISTINCT would take equal rows for one.
      return undefined;
    }
  }
  const list = columns.join(", ");
  return {
    columns: list,
    byId: `SELECT ${list} FROM ${table} WHERE ${table}.id = ? LIMIT 1`,
    complete(row) {
      for (const { field, name, type } of fields) {
        const stored = row[name];
        const value = type.fromColumn(field, stored);
        if (value !== stored) row[name] = value;
      }
      return row;
    },
  };
}

function literal(key: string, { id, name }: Collection): string {
  return `'${(key === "collectionId" ? id : name).replaceAll("'", "''")}'`;
}
