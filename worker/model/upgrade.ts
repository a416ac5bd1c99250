/** What PocketBase changed in stored data between 0.23 and 0.39, done to an imported data.db once. Every step is idempotent. */
import type { Collection } from "../../shared/schema/collection.ts";
import type { WriteTransaction } from "../tenant/contract.ts";
import type { AuthOptions } from "./collections/auth-options.ts";
import { authTemplates } from "./collections/auth-templates.ts";
import { buildIndex, parseIndex, type IndexExpression } from "./collections/index-expression.ts";
import { quoteName } from "./collections/sql-text.ts";
import { loadCollections, updateCollectionRow } from "./collections/stored.ts";
import { changeTable } from "./collections/table.ts";
import { nowText } from "./fields/date-text.ts";
import { addField, readField } from "./fields/options.ts";
import { otpSentToField } from "./system-collections.ts";

/** PocketBase's own migrations of 0.39, by the names under which it marks them as done. */
export const MIGRATIONS: readonly string[] = [
  "1640988000_aux_init.go",
  "1640988000_init.go",
  "1717233556_v0.23_migrate.go",
  "1717233557_v0.23_migrate2.go",
  "1717233558_v0.23_migrate3.go",
  "1717233559_v0.23_migrate4.go",
  "1763020353_update_default_auth_alert_templates.go",
  "1778828400_normalize_indexes.go",
];

/** @param refreshViews - gives views the fields that this version infers from their queries */
export function upgrade(tx: WriteTransaction, refreshViews: (tx: WriteTransaction) => void): void {
  const applied = new Set(tx.values("SELECT file FROM _migrations").map(([file]) => file));
  const pending = (file: string): boolean => !applied.has(file);
  if (pending("1717233559_v0.23_migrate4.go")) addSentTo(tx);
  if (pending("1763020353_update_default_auth_alert_templates.go")) renewAlertTemplates(tx);
  if (pending("1778828400_normalize_indexes.go")) {
    adoptIndexes(tx);
    refreshViews(tx);
  }
  const appliedUs = Date.now() * 1_000;
  for (const [index, file] of MIGRATIONS.filter(pending).entries()) {
    tx.run("INSERT INTO `_migrations` (file, applied) VALUES (?, ?)", [file, appliedUs + index]);
  }
}

function change(tx: WriteTransaction, before: Collection, after: Collection): void {
  const saved = { ...after, updated: nowText() };
  updateCollectionRow(tx, saved);
  changeTable(tx, before, saved);
}

function addSentTo(tx: WriteTransaction): void {
  const otps = loadCollections(tx).find(({ name }) => name === "_otps");
  if (otps === undefined || otps.fields.some(({ name }) => name === "sentTo")) return;
  const fields = [...otps.fields];
  addField(fields, readField(otpSentToField()));
  change(tx, otps, { ...otps, fields });
}

/** The alert mail that did not yet tell from where the login came. */
const OLD_ALERT = authTemplates.authAlert.body
  .replace("a new location:</p>", "a new location.</p>")
  .replace("<p><em>{ALERT_INFO}</em></p>\n", "")
  .replace(/(<p><strong>.*<\/strong><\/p>)\n(<p>If this was you.*<\/p>)/, "$2\n$1");

function renewAlertTemplates(tx: WriteTransaction): void {
  for (const collection of loadCollections(tx)) {
    if (collection.type !== "auth") continue;
    const options = collection.options as AuthOptions;
    if (options.authAlert.emailTemplate.body !== OLD_ALERT) continue;
    options.authAlert.emailTemplate.body = authTemplates.authAlert.body;
    updateCollectionRow(tx, { ...collection, updated: nowText() });
  }
}

/** Indexes that are on a table but not in its collection's list are listed, or dropped when they only repeat one. */
function adoptIndexes(tx: WriteTransaction): void {
  for (const collection of loadCollections(tx)) {
    if (collection.system || collection.type === "view") continue;
    const known = collection.indexes.map(parseIndex);
    const indexes = [...collection.indexes];
    for (const index of tableIndexes(tx, collection.name)) {
      if (known.some((other) => other.indexName.toLowerCase() === index.indexName.toLowerCase())) continue;
      tx.exec(`DROP INDEX IF EXISTS ${quoteName(index.indexName)}`);
      if (!isGuaranteed(collection, index) && !known.some((other) => sameDefinition(other, index))) {
        indexes.push(buildIndex(index));
      }
    }
    const normal = indexes.map((text) => {
      const index = parseIndex(text);
      return index.tableName === collection.name
        ? text
        : buildIndex({ ...index, tableName: collection.name }) || text;
    });
    // PocketBase saves all that have indexes again, so all of them are new to a client that asks for what has changed.
    if (normal.length > 0 || collection.indexes.length > 0) {
      change(tx, collection, { ...collection, indexes: normal });
    }
  }
}

function tableIndexes(tx: WriteTransaction, table: string): IndexExpression[] {
  return tx
    .values(
      "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL AND name NOT LIKE 'sqlite_autoindex_%'",
      [table],
    )
    .map(([sql]) => indexOf(table, String(sql)));
}

function indexOf(table: string, sql: string): IndexExpression {
  return { ...parseIndex(sql), schemaName: "", tableName: table };
}

/** Every auth collection has unique indexes of its token keys and emails anyway. */
function isGuaranteed({ type }: Collection, index: IndexExpression): boolean {
  const only = index.columns.length === 1 ? index.columns[0]?.name.toLowerCase() : undefined;
  return type === "auth" && index.unique && (only === "tokenkey" || only === "email");
}

function sameDefinition(a: IndexExpression, b: IndexExpression): boolean {
  const essence = (index: IndexExpression): string =>
    buildIndex({ ...index, schemaName: "", indexName: "i", tableName: "t" });
  return essence(a) === essence(b);
}
