/** What SQL from outside may do to a tenant's database, judged by what SQLite's authorizer tells of each statement. */
import { constants } from "node:sqlite";
import { firstWords, sqlTokens } from "../hrana/sql-tokens.ts";
import type { SqlAction } from "../sqlite/schema-copy.ts";
import { SqlRefused } from "./refused.ts";

/** `read` and `write` are tokens; `full` is a superuser, who may also touch what PocketBase's own tables hold. */
export type SqlAccess = "read" | "write" | "full";

/** PRAGMAs that tell and change nothing, with the argument that they take. */
const TELLING = new Set(
  (
    "application_id collation_list compile_options database_list data_version encoding foreign_key_check foreign_key_list " +
    "auto_vacuum busy_timeout cache_size foreign_keys freelist_count function_list index_info index_list index_xinfo " +
    "integrity_check journal_mode module_list page_count synchronous page_size pragma_list quick_check schema_version table_info table_list table_xinfo user_version"
  ).split(" "),
);
/** Of those, the ones whose argument does not set anything. */
const WITH_ARGUMENT = new Set(
  "foreign_key_check foreign_key_list index_info index_list index_xinfo integrity_check quick_check table_info table_list table_xinfo".split(
    " ",
  ),
);
const MODULES = new Set(["fts5", "fts4", "rtree", "rtree_i32", "geopoly"]);
const FUNCTIONS_REFUSED = new Set(["load_extension", "fts3_tokenizer"]);

const {
  SQLITE_ALTER_TABLE,
  SQLITE_ANALYZE,
  SQLITE_ATTACH,
  SQLITE_CREATE_INDEX,
  SQLITE_CREATE_TABLE,
  SQLITE_CREATE_TEMP_INDEX,
  SQLITE_CREATE_TEMP_TABLE,
  SQLITE_CREATE_TEMP_TRIGGER,
  SQLITE_CREATE_TEMP_VIEW,
  SQLITE_CREATE_TRIGGER,
  SQLITE_CREATE_VIEW,
  SQLITE_CREATE_VTABLE,
  SQLITE_DELETE,
  SQLITE_DETACH,
  SQLITE_DROP_INDEX,
  SQLITE_DROP_TABLE,
  SQLITE_DROP_TRIGGER,
  SQLITE_DROP_VIEW,
  SQLITE_DROP_VTABLE,
  SQLITE_FUNCTION,
  SQLITE_INSERT,
  SQLITE_PRAGMA,
  SQLITE_READ,
  SQLITE_REINDEX,
  SQLITE_SAVEPOINT,
  SQLITE_TRANSACTION,
  SQLITE_UPDATE,
} = constants;

const ROW_WRITES = new Set([SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE]);
const SCHEMA_WRITES = new Set([
  SQLITE_ALTER_TABLE,
  SQLITE_ANALYZE,
  SQLITE_CREATE_INDEX,
  SQLITE_CREATE_TABLE,
  SQLITE_CREATE_TRIGGER,
  SQLITE_CREATE_VIEW,
  SQLITE_CREATE_VTABLE,
  SQLITE_DROP_INDEX,
  SQLITE_DROP_TABLE,
  SQLITE_DROP_TRIGGER,
  SQLITE_DROP_VIEW,
  SQLITE_DROP_VTABLE,
  SQLITE_REINDEX,
]);
const TEMPORARY = new Set([
  SQLITE_CREATE_TEMP_INDEX,
  SQLITE_CREATE_TEMP_TABLE,
  SQLITE_CREATE_TEMP_TRIGGER,
  SQLITE_CREATE_TEMP_VIEW,
]);
/** Of these the table stands second, of the other schema changes first; ALTER TABLE has the schema first. */
const TABLE_SECOND = new Set([
  SQLITE_ALTER_TABLE,
  SQLITE_CREATE_INDEX,
  SQLITE_CREATE_TRIGGER,
  SQLITE_DROP_INDEX,
  SQLITE_DROP_TRIGGER,
]);

export interface StatementNature {
  /** Needs the writer: changes rows or the schema, or is a PRAGMA of the transaction. */
  isWrite: boolean;
  /** INSERT, UPDATE or DELETE: `changes()` speaks of it. */
  changesRows: boolean;
  /** Collections, settings or the schema may be others afterwards. */
  touchesModel: boolean;
  /** `foreign_keys` as asked for by `PRAGMA foreign_keys = …`; honoured per stream. */
  foreignKeys: boolean | undefined;
  control: "begin" | "commit" | "rollback" | "savepoint" | "release" | "rollback to" | undefined;
}

export function mayPragma(name: string, argument: string | null): boolean {
  const pragma = name.toLowerCase();
  if (pragma === "foreign_keys" || pragma === "defer_foreign_keys") return true;
  return TELLING.has(pragma) && (argument === null || WITH_ARGUMENT.has(pragma));
}

/** What of a database's schema a verdict depends on; names are in lower case. */
export interface KnownNames {
  /** Of the tables and views that are collections. */
  collections: ReadonlySet<string>;
  /** The statements that made the views. */
  views: () => ReadonlyMap<string, string>;
}

/** @throws SqlRefused */
export function judge(
  sql: string,
  actions: readonly SqlAction[],
  access: SqlAccess,
  { collections, views }: KnownNames,
): StatementNature {
  const [first = "", second = ""] = firstWords(sql, 2);
  if (first === "VACUUM") throw refused("VACUUM is not allowed here: the platform does it");
  let changesRows = false;
  let changesSchema = false;
  let touchesInternal = false;
  let foreignKeys: boolean | undefined;
  let isPragmaWrite = false;
  let control: StatementNature["control"];
  const isSchemaStatement = actions.some(({ code }) => SCHEMA_WRITES.has(code));
  // To rename something SQLite looks through the temporary schema too, which nothing is ever in.
  const isAltered = actions.some(
    ({ code, first: schema }) => code === SQLITE_ALTER_TABLE && schema === "main",
  );
  for (const action of actions) {
    const { code } = action;
    const name = (action.first ?? "").toLowerCase();
    if (code === SQLITE_ATTACH || code === SQLITE_DETACH)
      throw refused("ATTACH and DETACH are not allowed here");
    const isTemporary =
      action.schema === "temp" &&
      (SCHEMA_WRITES.has(code) || ROW_WRITES.has(code)) &&
      !(isAltered && isSchemaTable(name));
    if (TEMPORARY.has(code) || isTemporary)
      throw refused("Temporary tables, views and triggers are not allowed here");
    if (code === SQLITE_FUNCTION && FUNCTIONS_REFUSED.has((action.second ?? "").toLowerCase()))
      throw refused(`The function ${action.second} is not allowed here`);
    if (code === SQLITE_CREATE_VTABLE && !MODULES.has((action.second ?? "").toLowerCase()))
      throw refused(`Virtual tables of ${action.second} are not allowed here`);
    // One over the content of another table would show what reading that table does not.
    if (code === SQLITE_CREATE_VTABLE && access !== "full") throw refused("Virtual tables need a superuser");
    if (code === SQLITE_PRAGMA && action.second !== null && !WITH_ARGUMENT.has(name)) {
      isPragmaWrite = name === "defer_foreign_keys";
      if (name === "foreign_keys") foreignKeys = /^(?:1|on|yes|true)$/i.test(action.second);
    }
    if (code === SQLITE_TRANSACTION) control = transactionControl(action.first ?? "");
    if (code === SQLITE_SAVEPOINT) control = savepointControl(action.first ?? "");
    if (code === SQLITE_READ) checkRead(name, action.second ?? "", access);
    if (ROW_WRITES.has(code) && !(isSchemaStatement && isSchemaTable(name))) {
      changesRows = true;
      if (isSystemTable(name)) touchesInternal = true;
      // Dropping a table deletes its rows first; that is judged as the drop.
      if (access !== "full" && !isSchemaStatement) checkRowWrite(name);
    }
    if (SCHEMA_WRITES.has(code)) {
      changesSchema = true;
      const table = (TABLE_SECOND.has(code) ? action.second : action.first)?.toLowerCase() ?? "";
      if (access !== "full" && code !== SQLITE_ANALYZE && code !== SQLITE_REINDEX)
        checkSchemaWrite(table, code === SQLITE_DROP_VIEW, collections);
      if (access !== "full" && (code === SQLITE_CREATE_TRIGGER || code === SQLITE_CREATE_VIEW))
        checkNamed(sql, views());
      if (access !== "full" && code === SQLITE_ALTER_TABLE) checkNewName(sql);
    }
  }
  const isWrite = (changesRows || changesSchema || isPragmaWrite) && first !== "EXPLAIN";
  if (isWrite && access === "read") throw refused("This token may only read");
  if (control === "begin" && access === "read" && (second === "IMMEDIATE" || second === "EXCLUSIVE"))
    throw refused("This token may only read");
  return {
    isWrite,
    changesRows: changesRows && !isSchemaStatement,
    touchesModel: changesSchema || touchesInternal,
    foreignKeys,
    control,
  };
}

/** Secrets by which one could sign tokens of any user, or speak for the tenant to others, are for superusers alone. */
function checkRead(table: string, column: string, access: SqlAccess): void {
  if (table === "sqlite_dbpage") throw refused("sqlite_dbpage is not allowed here");
  if (table.startsWith("pragma_") && !mayPragma(table.slice("pragma_".length), null))
    throw refused(`${table} is not allowed here`);
  if (access === "full") return;
  const secret =
    (table === "_params" && column === "value") ||
    (table === "_collections" && column === "options") ||
    ((table === "_superusers" || table === "_otps") && (column === "password" || column === "tokenKey")) ||
    table.startsWith("_mb_");
  if (secret) throw refused(`Reading ${table}.${column} needs a superuser`);
}

function checkRowWrite(table: string): void {
  if (isSystemTable(table) || isSchemaTable(table)) throw refused(`Writing to ${table} needs a superuser`);
}

function checkSchemaWrite(table: string, isView: boolean, collections: ReadonlySet<string>): void {
  if (isSystemTable(table)) throw refused(`Changing ${table} needs a superuser`);
  if (collections.has(table))
    throw refused(
      `Changing ${isView ? "view" : "table"} ${table} needs the collections API: it is a collection`,
    );
}

/**
 * What a trigger does is judged when it fires, and then as the deed of whoever fires it: one that names a system table, or a view of
 * one, would wait for a superuser. SQLite compiles no body before that, so its words are looked at. A view by which one that is
 * there already would come to a system table is refused for the same reason.
 */
function checkNamed(sql: string, views: ReadonlyMap<string, string>): void {
  const texts = [sql];
  const seen = new Set<string>();
  for (const text of texts) {
    for (const word of namesIn(text)) {
      if (isSystemTable(word) && word !== "_rowid_")
        throw refused(`A view or trigger that leads to ${word} needs a superuser`);
      const view = seen.has(word) ? undefined : views.get(word);
      seen.add(word);
      if (view !== undefined) texts.push(view);
    }
  }
}

/** The authorizer is not told what a table is renamed to. */
function checkNewName(sql: string): void {
  const names = namesIn(sql);
  const to = names.findIndex((word, at) => word === "to" && names[at - 1] === "rename");
  const name = names[to + 1] ?? "";
  if (to > 0 && isSystemTable(name)) throw refused(`Making ${name} needs a superuser`);
}

/** All words and quoted texts, lower case: SQLite takes any of these for a name. */
function namesIn(sql: string): string[] {
  return Array.from(sqlTokens(sql), ({ text }) => text.replace(/^["'`[]|["'`\]]$/g, "").toLowerCase());
}

const isSystemTable = (table: string): boolean => table.startsWith("_");
const isSchemaTable = (table: string): boolean =>
  table === "sqlite_master" || table === "sqlite_schema" || table.startsWith("sqlite_");

function transactionControl(operation: string): "begin" | "commit" | "rollback" {
  if (operation === "COMMIT") return "commit";
  return operation === "ROLLBACK" ? "rollback" : "begin";
}

function savepointControl(operation: string): "savepoint" | "release" | "rollback to" {
  if (operation === "RELEASE") return "release";
  return operation === "ROLLBACK" ? "rollback to" : "savepoint";
}

const refused = (message: string): SqlRefused => new SqlRefused("SQLITE_AUTH", message);
