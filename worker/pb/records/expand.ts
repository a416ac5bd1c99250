/**
 * `?expand=`: related records, each held to its collection's view rule. A path that cannot be followed to its end leaves
 * nothing behind, silently, as in PocketBase.
 */
import { type Collection, isMultiple } from "../../../shared/schema/collection.ts";
import { limits } from "../../../shared/limits.ts";
import type { RecordData } from "../../model/contract.ts";
import { singleUniqueIndex } from "../../model/collections/index-expression.ts";
import { quoteName } from "../../model/collections/sql-text.ts";
import type { ExpandNode } from "./expand-node.ts";
import { recordsUnderRule, unlessUnusable } from "./rules.ts";
import { type RecordScope, inContext } from "./scope.ts";

type ToNodes = (scope: RecordScope, records: readonly RecordData[]) => ExpandNode[];

export function expandNodes(
  scope: RecordScope,
  nodes: readonly ExpandNode[],
  raw: string,
  toNodes: ToNodes,
): void {
  const within = inContext(scope, "expand");
  for (const path of normalisePaths(raw)) expandPath(within, nodes, path.split("."), toNodes, 1);
}

/** `a.b.c, a.b, test ` → `a.b.c`, `test`: without spaces, repetitions and paths that a longer one contains. */
function normalisePaths(raw: string): string[] {
  const paths = new Set(
    raw
      .split(",")
      .map((path) => path.replaceAll(" ", "").replace(/^\.+|\.+$/g, ""))
      .filter((path) => path !== ""),
  );
  return [...paths].filter((path) => ![...paths].some((other) => other.startsWith(`${path}.`)));
}

/** False when the path cannot be followed: the callers above it drop their part too. */
function expandPath(
  scope: RecordScope,
  nodes: readonly ExpandNode[],
  [name = "", ...rest]: readonly string[],
  toNodes: ToNodes,
  level: number,
): boolean {
  const collection = nodes[0]?.record.collection;
  if (level > limits.expandDepthMax || collection === undefined) return true;
  const step = resolveStep(scope, collection, name, nodes);
  if (step === undefined) return false;
  const related = fetchVisible(scope, step.target, [...new Set([...step.ids.values()].flat())]);
  if (related === undefined) return false;
  const relatedNodes = toNodes(scope, related);
  if (rest.length > 0 && !expandPath(scope, relatedNodes, rest, toNodes, level + 1)) return false;
  const byId = new Map(relatedNodes.map((node) => [node.record.id, node]));
  for (const node of nodes) attach(node, name, step, byId);
  return true;
}

interface Step {
  target: Collection;
  multiple: boolean;
  /** Ids of related records by the id of the record that has them. */
  ids: Map<string, string[]>;
}

function resolveStep(
  scope: RecordScope,
  from: Collection,
  name: string,
  nodes: readonly ExpandNode[],
): Step | undefined {
  // The second is how PocketBase wrote it first.
  const back = /^(\w+)_via_(\w+)$/.exec(name) ?? /^(\w+)\((\w+)\)$/.exec(name);
  if (back !== null) return resolveBackRelation(scope, from, back[1] ?? "", back[2] ?? "", nodes);
  const field = from.fields.find((field) => field.name === name && field.type === "relation");
  const target = field === undefined ? undefined : scope.model.schema.find(String(field["collectionId"]));
  if (field === undefined || target === undefined) return undefined;
  const ids = new Map(nodes.map(({ record }) => [record.id, idsOf(record.values[name])]));
  return { target, multiple: isMultiple(field), ids };
}

function idsOf(value: unknown): string[] {
  if (typeof value === "string") return value === "" ? [] : [value];
  return Array.isArray(value) ? value.filter((id): id is string => typeof id === "string" && id !== "") : [];
}

function resolveBackRelation(
  scope: RecordScope,
  from: Collection,
  collectionName: string,
  fieldName: string,
  nodes: readonly ExpandNode[],
): Step | undefined {
  const target = scope.model.schema.find(collectionName);
  const field = target?.fields.find((field) => field.name === fieldName && field.type === "relation");
  if (target === undefined || field?.["collectionId"] !== from.id) return undefined;
  const table = quoteName(target.name);
  const column = `${table}.${quoteName(fieldName)}`;
  const condition = isMultiple(field)
    ? `EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(${column}) THEN ${column} ELSE json_array(${column}) END) WHERE value = ?1)`
    : `${column} = ?1`;
  const sql = `SELECT ${table}.id FROM ${table} WHERE ${condition} LIMIT ${limits.expandBackRelationsMax}`;
  const ids = new Map(
    nodes.map(({ record }) => [record.id, scope.db.values(sql, [record.id]).map(([id]) => String(id))]),
  );
  return { target, multiple: singleUniqueIndex(target.indexes, fieldName) === undefined, ids };
}

/** Undefined when the collection is locked to the client. */
function fetchVisible(
  scope: RecordScope,
  target: Collection,
  ids: readonly string[],
): RecordData[] | undefined {
  if (!scope.isSuperuser && target.viewRule === null) return undefined;
  if (ids.length === 0) return [];
  if (scope.isSuperuser || target.viewRule === null || target.viewRule === "") {
    return scope.model.findMany(scope.db, target, ids);
  }
  const rule = target.viewRule;
  return unlessUnusable(undefined, () => recordsUnderRule(scope, target, rule, ids));
}

function attach(node: ExpandNode, name: string, step: Step, byId: ReadonlyMap<string, ExpandNode>): void {
  node.expand ??= new Map();
  const related = (step.ids.get(node.record.id) ?? []).flatMap((id) => byId.get(id) ?? []);
  const [first] = related;
  if (first === undefined) return;
  const known = node.expand.get(name);
  for (const old of known === undefined ? [] : Array.isArray(known) ? known : [known]) {
    const same = related.find((other) => other.record.id === old.record.id);
    if (same !== undefined) mergeExpand(same, old);
  }
  node.expand.set(name, step.multiple ? related : first);
}

/** What an earlier path found below the same record is kept. */
function mergeExpand(into: ExpandNode, from: ExpandNode): void {
  if (into === from || from.expand === undefined) return;
  into.expand ??= new Map();
  for (const [name, related] of from.expand) {
    const known = into.expand.get(name);
    if (known === undefined) into.expand.set(name, related);
    else if (!Array.isArray(known) && !Array.isArray(related)) mergeExpand(known, related);
    else mergeLists(asList(known), asList(related));
  }
}

function asList(related: ExpandNode | ExpandNode[]): ExpandNode[] {
  return Array.isArray(related) ? related : [related];
}

function mergeLists(into: readonly ExpandNode[], from: readonly ExpandNode[]): void {
  for (const old of from) {
    const same = into.find((node) => node.record.id === old.record.id);
    if (same !== undefined) mergeExpand(same, old);
  }
}
