/** From stored records to what the API shows: visible emails and fields, expanded relations. */
import { manageRule } from "../../auth/options.ts";
import type { RecordData } from "../../model/contract.ts";
import { EVERYTHING, PUBLIC, recordToJson } from "../../model/records/to-json.ts";
import { expandNodes } from "./expand.ts";
import type { ExpandNode } from "./expand-node.ts";
import { idsUnderRule, unlessUnusable } from "./rules.ts";
import type { RecordScope } from "./scope.ts";

export type RecordJson = Record<string, unknown>;

/** `records` are of one collection; `expand` is the parameter as the client sent it. */
export function enrichRecords(scope: RecordScope, records: readonly RecordData[], expand = ""): RecordJson[] {
  if (expand === "" && records[0]?.collection.type !== "auth") {
    const visibility = scope.isSuperuser ? EVERYTHING : PUBLIC;
    return records.map((record) => recordToJson(record, visibility));
  }
  const nodes = toNodes(scope, records);
  if (expand !== "") expandNodes(scope, nodes, expand, toNodes);
  return nodes.map(exportNode);
}

export function enrichRecord(scope: RecordScope, record: RecordData, expand = ""): RecordJson {
  return enrichRecords(scope, [record], expand)[0] ?? {};
}

/** Like `enrichRecord`, for the record that has just proved who it is: its email is shown. */
export function enrichOwnRecord(scope: RecordScope, record: RecordData, expand = ""): RecordJson {
  const nodes: ExpandNode[] = [{ record, hidden: scope.isSuperuser, email: true, expand: undefined }];
  if (expand !== "") expandNodes(scope, nodes, expand, toNodes);
  return nodes.map(exportNode)[0] ?? {};
}

/** Who may see what of each record: superusers all, the owner and managers the email. */
function toNodes(scope: RecordScope, records: readonly RecordData[]): ExpandNode[] {
  const { isSuperuser } = scope;
  const nodes = records.map((record): ExpandNode => ({
    record,
    hidden: isSuperuser,
    email: isSuperuser,
    expand: undefined,
  }));
  const collection = records[0]?.collection;
  if (isSuperuser || collection?.type !== "auth") return nodes;
  const own = scope.info.auth?.record["id"];
  const rule = manageRule(collection);
  const ids = records.map((record) => record.id);
  const managed =
    rule === null ? undefined : unlessUnusable(undefined, () => idsUnderRule(scope, collection, rule, ids));
  for (const node of nodes) node.email = node.record.id === own || managed?.has(node.record.id) === true;
  return nodes;
}

function exportNode(node: ExpandNode): RecordJson {
  return recordToJson(node.record, node, node.expand === undefined ? undefined : exportExpand(node.expand));
}

function exportExpand(expand: ReadonlyMap<string, ExpandNode | ExpandNode[]>): Record<string, unknown> {
  const json: Record<string, unknown> = {};
  for (const name of [...expand.keys()].sort()) {
    const related = expand.get(name);
    if (related !== undefined)
      json[name] = Array.isArray(related) ? related.map(exportNode) : exportNode(related);
  }
  return json;
}
