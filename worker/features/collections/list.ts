import type { Group, Operand } from "../../../shared/filter/ast.ts";
import { FilterError } from "../../../shared/filter/error.ts";
import { parseFilter } from "../../../shared/filter/parse.ts";
import type { Collection, Schema } from "../../../shared/schema/collection.ts";
import { readField } from "../../model/fields/options.ts";
import { collectionToJson } from "../../model/collections/json.ts";
import { makeSchema } from "../../model/collections/schema.ts";
import { modelOf } from "../../model/model.ts";
import { parseBool, parseInteger } from "../../pb/records/list.ts";
import type { PbContext } from "../../pb/route.ts";
import { buildList } from "../../query/list.ts";

/** What may be filtered and sorted by: the table of collections seen as a collection itself. */
const COLUMNS: readonly Readonly<Record<string, string>>[] = [
  { type: "text", name: "id" },
  { type: "date", name: "created" },
  { type: "date", name: "updated" },
  { type: "text", name: "name" },
  { type: "bool", name: "system" },
  { type: "text", name: "type" },
];
const TABLE: Collection = {
  id: "_collections",
  name: "_collections",
  type: "base",
  system: true,
  fields: COLUMNS.map((column) => readField({ ...column, id: column["name"] })),
  indexes: [],
  listRule: null,
  viewRule: null,
  createRule: null,
  updateRule: null,
  deleteRule: null,
  created: "",
  updated: "",
  options: {},
};
const SCHEMA: Schema = makeSchema([TABLE]);

/** `GET /api/collections`: a page of collections. @throws ApiError 400, FilterError */
export function listCollections(context: PbContext): Response {
  const { query, tenant, seen } = context;
  const { schema } = modelOf(tenant);
  const [filter, sort] = [query.get("filter") ?? "", query.get("sort") ?? ""];
  refuseForeignNames(filter, sort);
  const { items, count, page, perPage } = buildList(
    {
      schema: SCHEMA,
      collection: TABLE,
      request: context.info,
      allowHidden: true,
      kind: "client",
      now: () => new Date(),
    },
    {
      filter,
      sort,
      page: parseInteger(query.get("page") ?? undefined),
      perPage: parseInteger(query.get("perPage") ?? undefined),
      skipTotal: parseBool(query.get("skipTotal") ?? undefined),
    },
  );
  return tenant.data.read(seen, (db) => {
    const totalItems = count === undefined ? -1 : Number(db.values(count.sql, count.params)[0]?.[0] ?? 0);
    const found = db.all<{ id: string }>(items.sql, items.params).flatMap(({ id }) => schema.find(id) ?? []);
    return context.json(200, {
      items: found.map(collectionToJson),
      page,
      perPage,
      totalItems,
      totalPages: totalItems < 0 ? -1 : Math.ceil(totalItems / perPage),
    });
  });
}

/** Collections are no records: what is theirs has no modifiers, and nothing of the request is. @throws FilterError */
function refuseForeignNames(filter: string, sort: string): void {
  if (sort.includes(":")) throw new FilterError("Cannot sort collections: a modifier");
  if (filter !== "") visitNames(parseFilter(filter).root);
}

function visitNames({ items }: Group): void {
  for (const { item } of items) {
    if (item.type === "group") visitNames(item);
    else for (const operand of [item.left, item.right]) visitName(operand);
  }
}

function visitName(operand: Operand): void {
  if (operand.type === "function") operand.args.forEach(visitName);
  if (operand.type === "identifier" && /:|^@(?:request|collection)\b/.test(operand.name)) {
    throw new FilterError(`Cannot filter collections by ${operand.name}: it is not theirs`);
  }
}
