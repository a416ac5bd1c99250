/** Adding, renaming and dropping columns, also those that SQLite leaves alone. */
import { randomText } from "../../../shared/ids.ts";
import type { SqlWriter } from "../../sqlite/contract.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { ID_ALPHABET } from "../fields/random-pattern.ts";
import { quoteName } from "./sql-text.ts";

/** SQLite takes these for the row id when it alters a table, even if the table has such a column. */
const ROW_ID = /^(?:rowid|oid)$/i;

/** @throws what SQLite says */
export function addColumn(tx: WriteTransaction, table: string, name: string, definition: string): void {
  const column = ROW_ID.test(name) ? temporaryName(name) : name;
  tx.exec(`ALTER TABLE ${quoteName(table)} ADD COLUMN ${quoteName(column)} ${definition}`);
  if (column !== name) renameColumn(tx, table, column, name);
}

/** @throws what SQLite says */
export function renameColumn(tx: WriteTransaction, table: string, from: string, to: string): void {
  if (ROW_ID.test(from) || ROW_ID.test(to)) copyTable(tx, table, from, to);
  else tx.exec(`ALTER TABLE ${quoteName(table)} RENAME COLUMN ${quoteName(from)} TO ${quoteName(to)}`);
}

/** @throws what SQLite says */
export function dropColumn(tx: WriteTransaction, table: string, name: string): void {
  const column = ROW_ID.test(name) ? temporaryName(name) : name;
  if (column !== name) renameColumn(tx, table, name, column);
  tx.exec(`ALTER TABLE ${quoteName(table)} DROP COLUMN ${quoteName(column)}`);
}

export function temporaryName(name: string): string {
  return `${name}${randomText(5, ID_ALPHABET)}`;
}

/** Views are out of the way while a table is half made. */
export function withoutViews(tx: SqlWriter, run: () => void): void {
  const views = tx.all<{ name: string; sql: string }>(
    "SELECT name, sql FROM sqlite_master WHERE type = 'view' AND sql IS NOT NULL ORDER BY _rowid_",
  );
  for (const view of views) tx.exec(`DROP VIEW IF EXISTS ${quoteName(view.name)}`);
  run();
  for (const view of views) tx.exec(view.sql);
}

interface Column {
  name: string;
  type: string;
  notnull: number;
  dflt_value: string | null;
  pk: number;
}

/**
 * The same table, row ids and triggers included, with another name for one column. Its indexes go: those of a collection are made
 * anew anyway.
 */
function copyTable(tx: WriteTransaction, table: string, from: string, to: string): void {
  const columns = tx.all<Column>("SELECT * FROM pragma_table_info(?) ORDER BY cid", [table]);
  const named = ({ name }: Column): string => quoteName(name === from ? to : name);
  const definitions = columns.map((column) =>
    [
      named(column),
      column.type,
      column.pk === 0 ? "" : "PRIMARY KEY",
      column.dflt_value === null ? "" : `DEFAULT (${column.dflt_value})`,
      column.notnull === 0 ? "" : "NOT NULL",
    ]
      .filter(Boolean)
      .join(" "),
  );
  const copy = quoteName(temporaryName(`_${table}`));
  const triggers = tx.all<{ sql: string }>(
    "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY _rowid_",
    [table],
  );
  withoutViews(tx, () => {
    tx.exec(`CREATE TABLE ${copy} (${definitions.join(", ")})`);
    tx.exec(
      `INSERT INTO ${copy} (_rowid_, ${columns.map(named).join(", ")})
       SELECT _rowid_, ${columns.map(({ name }) => quoteName(name)).join(", ")} FROM ${quoteName(table)}`,
    );
    tx.exec(`DROP TABLE ${quoteName(table)}`);
    tx.exec(`ALTER TABLE ${copy} RENAME TO ${quoteName(table)}`);
    for (const { sql } of triggers) tx.exec(sql);
  });
}
