/** The SQL table behind a collection: created, renamed, its columns added, renamed, dropped and migrated (pocketbase.md §3). */
import { isMultiple, type Collection, type Field } from "../../../shared/schema/collection.ts";
import type { SqlWriter } from "../../sqlite/contract.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { ValidationFailure, type ErrorData } from "../contract.ts";
import { reasonOf } from "../reason.ts";
import { fieldError } from "../field-error.ts";
import { typeOf } from "../fields/registry.ts";
import { addColumn, dropColumn, renameColumn, temporaryName, withoutViews } from "./columns.ts";
import { buildIndex, isValidIndex, parseIndex } from "./index-expression.ts";
import { builtSql, oneStatement, quoteName } from "./sql-text.ts";

const INVALID_INDEX = "validation_invalid_index_expression";

/** Columns stand in alphabetical order; two of one name are one: who validates afterwards says so. @throws ValidationFailure for an index that SQLite refuses */
export function createTable(tx: SqlWriter, collection: Collection): void {
  const fields = new Map(collection.fields.map((field) => [field.name, field]));
  const columns = [...fields.values()]
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((field) => `${quoteName(field.name)} ${typeOf(field).column(field)}`);
  tx.exec(`CREATE TABLE ${quoteName(collection.name)} (${columns.join(", ")})`);
  createIndexes(tx, collection);
  refreshStatistics(tx);
}

/** Brings the table of `before` to `after`. @throws ValidationFailure, or what SQLite says */
export function changeTable(tx: WriteTransaction, before: Collection, after: Collection): void {
  const renamed = before.name.toLowerCase() !== after.name.toLowerCase();
  const fieldsChanged = JSON.stringify(before.fields) !== JSON.stringify(after.fields);
  const reindex =
    renamed || fieldsChanged || JSON.stringify(before.indexes) !== JSON.stringify(after.indexes);
  if (reindex) dropIndexes(tx, before);
  if (renamed) tx.exec(`ALTER TABLE ${quoteName(before.name)} RENAME TO ${quoteName(after.name)}`);
  if (fieldsChanged) changeColumns(tx, before, after);
  if (reindex) createIndexes(tx, after);
  refreshStatistics(tx);
}

/** As PocketBase does it: SQLite chooses by them how joins run, and so the order of rows that no sort tells apart. */
function refreshStatistics(tx: SqlWriter): void {
  tx.exec("PRAGMA optimize");
}

function changeColumns(tx: WriteTransaction, before: Collection, after: Collection): void {
  const old = new Map(before.fields.map((field) => [field.id, field]));
  const kept = new Set(after.fields.map((field) => field.id));
  for (const field of before.fields) {
    if (!kept.has(field.id)) {
      attempt(`failed to drop column ${field.name}`, () => dropColumn(tx, after.name, field.name));
    }
  }
  // By way of temporary names, so that two columns may swap theirs.
  const toRename = new Map<string, string>();
  for (const field of after.fields) {
    const source = old.get(field.id);
    if (source?.name === field.name) continue;
    const temporary = temporaryName(field.name);
    toRename.set(temporary, field.name);
    if (source === undefined) {
      attempt(`failed to add column ${field.name}`, () =>
        addColumn(tx, after.name, temporary, typeOf(field).column(field)),
      );
    } else {
      attempt(`failed to rename column ${source.name}`, () =>
        renameColumn(tx, after.name, source.name, temporary),
      );
    }
  }
  for (const [temporary, name] of toRename) renameColumn(tx, after.name, temporary, name);
  for (const field of after.fields) {
    const source = old.get(field.id);
    if (source !== undefined && isMultiple(source) !== isMultiple(field))
      migrateValues(tx, after.name, field);
  }
}

/** Single to multiple wraps the value in an array; multiple to single keeps the last one. */
function migrateValues(tx: WriteTransaction, tableName: string, field: Field): void {
  const temporary = `_${temporaryName(field.name)}`;
  const [table, column, old] = [quoteName(tableName), quoteName(field.name), quoteName(temporary)];
  withoutViews(tx, () => {
    renameColumn(tx, tableName, field.name, temporary);
    addColumn(tx, tableName, field.name, typeOf(field).column(field));
    const isArray = `json_valid(${old}) AND json_type(${old}) = 'array'`;
    tx.exec(
      isMultiple(field)
        ? `UPDATE ${table} SET ${column} = CASE WHEN COALESCE(${old}, '') = '' THEN '[]'
             WHEN ${isArray} THEN ${old} ELSE json_array(${old}) END`
        : `UPDATE ${table} SET ${column} = CASE WHEN COALESCE(${old}, '[]') = '[]' THEN ''
             WHEN ${isArray} THEN COALESCE(json_extract(${old}, '$[#-1]'), '') ELSE ${old} END`,
    );
    tx.exec(`ALTER TABLE ${table} DROP COLUMN ${old}`);
  });
}

function dropIndexes(tx: SqlWriter, collection: Collection): void {
  for (const expression of collection.indexes) {
    const { indexName } = parseIndex(expression);
    if (indexName !== "") tx.exec(`DROP INDEX IF EXISTS ${quoteName(indexName)}`);
  }
}

function createIndexes(tx: SqlWriter, collection: Collection): void {
  const errors: ErrorData = {};
  collection.indexes.forEach((expression, position) => {
    const index = { ...parseIndex(expression), tableName: collection.name };
    if (!isValidIndex(index)) {
      errors[String(position)] = fieldError(INVALID_INDEX, "Invalid CREATE INDEX expression.");
      return;
    }
    try {
      tx.exec(oneStatement(builtSql(buildIndex(index))));
    } catch (error) {
      const reason = reasonOf(error);
      errors[String(position)] = fieldError(
        INVALID_INDEX,
        `Failed to create index ${index.indexName} - ${reason}.`,
      );
    }
  });
  if (Object.keys(errors).length > 0) throw new ValidationFailure({ indexes: errors });
}

function attempt(what: string, run: () => void): void {
  try {
    run();
  } catch (cause) {
    throw new Error(`${what} - ${reasonOf(cause)}`, { cause });
  }
}
