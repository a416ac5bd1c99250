/** Access rules and client filters of records, asked of the database. Superusers pass every rule. */
import { manageRule } from "../../auth/options.ts";
import { FilterError } from "../../../shared/filter/error.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { quoteName } from "../../model/collections/sql-text.ts";
import type { PendingRecord, RecordData } from "../../model/contract.ts";
import type { QueryContext } from "../../query/contract.ts";
import { compileFilter } from "../../query/filter.ts";
import { compileCreateRule, matchesRule, selectById, selectByIds } from "../../query/rule.ts";
import type { RecordScope } from "./scope.ts";
import { toNewRow } from "./new-row.ts";

const now = (): Date => new Date();

/** For rules: they may use everything. */
function ruleQuery(scope: RecordScope, collection: Collection): QueryContext {
  return {
    schema: scope.model.schema,
    collection,
    request: scope.info,
    allowHidden: true,
    kind: "rule",
    now,
  };
}

/** For the filter and sort that came with the request. */
export function clientQuery(scope: RecordScope, collection: Collection): QueryContext {
  return {
    schema: scope.model.schema,
    collection,
    request: scope.info,
    allowHidden: scope.isSuperuser,
    kind: "client",
    now,
  };
}

/** Whether the stored record may be acted on. Null is locked; a rule that cannot be used counts as not met. */
export function meetsRule(scope: RecordScope, record: RecordData, rule: string | null): boolean {
  if (scope.isSuperuser) return true;
  if (rule === null) return false;
  if (rule === "") return true;
  return unlessUnusable(false, () =>
    matchesRule(scope.db, ruleQuery(scope, record.collection), rule, record.id),
  );
}

/** The record, if it exists and the rule lets this client have it. */
export function findUnderRule(
  scope: RecordScope,
  collection: Collection,
  id: string,
  rule: string | null,
): RecordData | undefined {
  if (scope.isSuperuser || rule === "") return scope.model.find(scope.db, collection, id);
  if (rule === null) return undefined;
  return unlessUnusable(undefined, () => {
    const { sql, params } = selectById(ruleQuery(scope, collection), rule, id);
    const row = scope.db.get(sql, params);
    return row === undefined ? undefined : scope.model.fromRow(collection, row);
  });
}

/** Those of `ids` that the rule holds for, whoever asks. @throws FilterError */
export function idsUnderRule(
  scope: RecordScope,
  collection: Collection,
  rule: string,
  ids: readonly string[],
): Set<string> {
  const { sql, params } = selectByIds(ruleQuery(scope, collection), rule, ids);
  return new Set(scope.db.all(sql, params).map((row) => String(row["id"])));
}

/** The records of `ids` that the rule holds for, in no order. @throws FilterError */
export function recordsUnderRule(
  scope: RecordScope,
  collection: Collection,
  rule: string,
  ids: readonly string[],
): RecordData[] {
  const { sql, params } = selectByIds(ruleQuery(scope, collection), rule, ids);
  return scope.db.all(sql, params).map((row) => scope.model.fromRow(collection, row));
}

/** Whether the create rule holds for a record that is not yet saved. */
export function meetsCreateRule(scope: RecordScope, pending: PendingRecord): boolean {
  const rule = pending.collection.createRule;
  return scope.isSuperuser || (rule !== null && (rule === "" || holdsUnsaved(scope, pending, rule)));
}

/** Whether the client manages the accounts of this collection as if it were a superuser; guests never do. */
export function meetsManageRuleUnsaved(scope: RecordScope, pending: PendingRecord): boolean {
  const rule = applicableManageRule(scope, pending.collection);
  return rule !== undefined && holdsUnsaved(scope, pending, rule);
}

export function canManage(scope: RecordScope, record: RecordData): boolean {
  const rule = applicableManageRule(scope, record.collection);
  return rule !== undefined && meetsRule(scope, record, rule);
}

/** A client's own filter, as realtime subscriptions carry one: never sees hidden fields. */
export function meetsClientFilter(scope: RecordScope, record: RecordData, filter: string): boolean {
  if (filter === "") return true;
  const { collection } = record;
  return unlessUnusable(false, () => {
    const query = { ...clientQuery(scope, collection), allowHidden: false };
    const { where, params, joins } = compileFilter(filter, query);
    const table = quoteName(collection.name);
    const sql = `SELECT 1 FROM ${table} ${joins.sql} WHERE ${table}.id = ? AND (${where}) LIMIT 1`;
    return scope.db.get(sql, [...joins.params, record.id, ...params]) !== undefined;
  });
}

function applicableManageRule(scope: RecordScope, collection: Collection): string | undefined {
  if (collection.type !== "auth" || scope.info.auth === null) return undefined;
  return manageRule(collection) ?? undefined;
}

function holdsUnsaved(scope: RecordScope, pending: PendingRecord, rule: string): boolean {
  return unlessUnusable(false, () => {
    const { sql, params } = compileCreateRule(ruleQuery(scope, pending.collection), rule, toNewRow(pending));
    return scope.db.get(sql, params) !== undefined;
  });
}

/** A stored rule may have stopped to make sense after a schema change: then nobody but superusers passes. */
export function unlessUnusable<T>(otherwise: T, ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    if (error instanceof FilterError || (error instanceof Error && error.name === "SQLiteError"))
      return otherwise;
    throw error;
  }
}
