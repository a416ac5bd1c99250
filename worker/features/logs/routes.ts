/** `/api/logs`: superusers read the tenant's logs. */
import { AUXILIARY_DB } from "../../../shared/ids.ts";
import { parseFilter } from "../../../shared/filter/parse.ts";
import type { Collection, Schema } from "../../../shared/schema/collection.ts";
import { makeSchema } from "../../model/collections/schema.ts";
import { parseDateText } from "../../model/fields/date-text.ts";
import { readField } from "../../model/fields/options.ts";
import { badRequest, notThere } from "../../pb/api-error.ts";
import { parseBool, parseInteger } from "../../pb/records/list.ts";
import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import type { QueryContext } from "../../query/contract.ts";
import { compileFilter } from "../../query/filter.ts";
import { buildList } from "../../query/list.ts";
import { refuseForeignNames } from "./filter-names.ts";
import { logQueueOf } from "./log-queue.ts";
import { deleteLogsBefore } from "../../pb/logs/packed.ts";
import { hasLogs, logToJson } from "../../pb/logs/store.ts";

export const logRoutes: readonly FeatureRoute[] = [
  { method: "GET", path: "/api/logs", handle: list },
  { method: "DELETE", path: "/api/logs", handle: truncate },
  { method: "GET", path: "/api/logs/stats", handle: stats },
  { method: "GET", path: "/api/logs/:id", handle: view },
];

/** What may be filtered and sorted by: the table of logs seen as a collection. */
const COLUMNS: readonly Readonly<Record<string, string>>[] = [
  { type: "text", name: "id" },
  { type: "date", name: "created" },
  { type: "number", name: "level" },
  { type: "text", name: "message" },
  { type: "json", name: "data" },
];
const TABLE: Collection = {
  id: "_logs",
  name: "_logs",
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

async function list(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const { query } = context;
  const skipTotal = parseBool(query.get("skipTotal") ?? undefined);
  const filter = query.get("filter") ?? "";
  if (filter !== "") compile(context, filter, "");
  const sort = query.get("sort") ?? "";
  // Columns and paths in `data` alone, as they are.
  if (/[^,]:/.test(sort)) throw badRequest();
  const { items, count, page, perPage } = buildList(queryContext(context), {
    filter,
    sort,
    page: parseInteger(query.get("page") ?? undefined),
    perPage: parseInteger(query.get("perPage") ?? undefined),
    skipTotal,
  });
  await logQueueOf(context.tenant).settle();
  return context.tenant.database(AUXILIARY_DB).read(context.seen, (db) => {
    const has = hasLogs(db);
    const counted = count === undefined ? -1 : 0;
    const totalItems =
      has && count !== undefined ? Number(db.values(count.sql, count.params)[0]?.[0]) : counted;
    return context.json(200, {
      items: has ? db.all(items.sql, items.params).map(logToJson) : [],
      page,
      perPage,
      totalItems,
      totalPages: totalItems < 0 ? -1 : Math.ceil(totalItems / perPage),
    });
  });
}

async function stats(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const text = context.query.get("filter") ?? "";
  const filter = text === "" ? undefined : compile(context, text);
  await logQueueOf(context.tenant).settle();
  const rows = context.tenant.database(AUXILIARY_DB).read(context.seen, (db) =>
    hasLogs(db)
      ? db.all<{ date: string; total: number }>(
          `SELECT count(id) AS total, strftime('%Y-%m-%d %H:00:00', created) AS date FROM _logs
           ${filter === undefined ? "" : `WHERE ${filter.where}`} GROUP BY date ORDER BY date ASC`,
          filter?.params ?? [],
        )
      : [],
  );
  return context.json(
    200,
    rows.map(({ date, total }) => ({ date: parseDateText(date), total })),
  );
}

/** The SDK's `logs.truncate`, which PocketBase has from 0.40 on. */
async function truncate(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  await logQueueOf(context.tenant).flush();
  await deleteLogsBefore(context.tenant, context.seen, Number.MAX_SAFE_INTEGER);
  return context.noContent();
}

async function view(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  await logQueueOf(context.tenant).settle();
  const row = context.tenant
    .database(AUXILIARY_DB)
    .read(context.seen, (db) =>
      hasLogs(db) ? db.get("SELECT * FROM _logs WHERE id = ?", [context.params["id"] ?? ""]) : undefined,
    );
  if (row === undefined) throw notThere();
  return context.json(200, logToJson(row));
}

function compile(context: PbContext, text: string, failure = "Invalid filter format.") {
  try {
    const filter = parseFilter(text);
    refuseForeignNames(filter.root);
    return compileFilter(text, queryContext(context));
  } catch (cause) {
    throw badRequest(failure, undefined, cause);
  }
}

function queryContext(context: PbContext): QueryContext {
  return {
    schema: SCHEMA,
    collection: TABLE,
    request: context.info,
    allowHidden: true,
    kind: "client",
    now: () => new Date(),
  };
}
