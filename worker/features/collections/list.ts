import type { Collection, Schema } from "../../../shared/schema/collection.ts";
import { readField } from "../../model/fields/options.ts";
import { collectionToJson } from "../../model/collections/json.ts";
import { makeSchema } from "../../model/collections/schema.ts";
import { modelOf } from "../../model/model.ts";
import { badRequest } from "../../pb/api-error.ts";
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
  const skipTotal = ["1", "t", "T", "TRUE", "true", "True"].includes(query.get("skipTotal") ?? "");
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
      filter: query.get("filter") ?? "",
      sort: query.get("sort") ?? "",
      page: integer(query.get("page")),
      perPage: integer(query.get("perPage")),
      skipTotal,
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

function integer(text: string | null): number | undefined {
  if (text === null || text === "") return undefined;
  if (!/^[+-]?\d{1,15}$/.test(text)) throw badRequest();
  return Number(text);
}
