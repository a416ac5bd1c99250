/** One request of a batch, inside the batch's transaction. */
import type { Collection } from "../../../shared/schema/collection.ts";
import { modelOf } from "../../model/model.ts";
import { badRequest, notFound } from "../../pb/api-error.ts";
import { pickFields } from "../../pb/pick-fields.ts";
import { enrichRecord } from "../../pb/records/enrich.ts";
import { type RecordScope, recordScope } from "../../pb/records/scope.ts";
import {
  type PreparedWrite,
  needsSettling,
  prepareCreate,
  prepareDelete,
  prepareUpdate,
  remove,
  save,
  settle,
} from "../../pb/records/write.ts";
import { checkRateLimit } from "../../pb/rate-limit.ts";
import { firstValues } from "../../pb/parse-query.ts";
import type { PbContext } from "../../pb/route.ts";
import type { RequestInfo } from "../../query/contract.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import type { BatchItem } from "./parse.ts";

export interface ItemResult {
  body: unknown;
  status: number;
}

const ACTION = /^(POST|PUT|PATCH|DELETE) \/api\/collections\/([^/?]+)\/records(?:\/([^/?]+))?(?:\?(.*))?$/s;

const takesId = (method: string): boolean => method === "PATCH" || method === "DELETE";

/** A promise only when passwords are hashed or files stored. `prepared` is told of every write that may have stored files. */
export function runItem(
  context: PbContext,
  tx: WriteTransaction,
  item: BatchItem,
  prepared: (write: PreparedWrite) => void,
): ItemResult | Promise<ItemResult> {
  const [, method = "", collectionName = "", pathId, rawQuery = ""] =
    ACTION.exec(`${item.method} ${item.url}`) ?? [];
  if (method === "" || takesId(method) !== (pathId !== undefined)) throw badRequest();
  countItem(context, item, method, collectionName);
  const model = modelOf(context.tenant);
  const query = firstValues(new URLSearchParams(rawQuery));
  const scope = recordScope(tx, model, itemInfo(context, item, method, query));
  const collection = model.schema.find(decodeURIComponent(collectionName));
  if (collection === undefined) throw notFound("Missing collection context.");
  if (collection.type === "view") throw badRequest("Unsupported collection type.");
  if (method === "DELETE") {
    remove(scope, tx, prepareDelete(scope, collection, decodeURIComponent(pathId ?? "")));
    return { body: null, status: 204 };
  }
  const write = prepare(scope, collection, item, pathId);
  prepared(write);
  const finish = (isSettled: boolean): ItemResult => {
    const json = enrichRecord(scope, save(scope, tx, write, isSettled), query["expand"]);
    const fields = query["fields"] ?? "";
    return { body: fields === "" ? json : pickFields(json, fields), status: 200 };
  };
  return needsSettling(write)
    ? settle(context.tenant, model, write, (check) => check(tx)).then(() => finish(true))
    : finish(false);
}

const ACTIONS: Readonly<Record<string, string>> = { PATCH: "update", DELETE: "delete" };

/** Each item is limited as the request that it stands for. @throws ApiError 429 */
function countItem(context: PbContext, { url }: BatchItem, method: string, collection: string): void {
  const action = ACTIONS[method] ?? "create";
  const path = `/api/collections/:collection/records${takesId(method) ? "/:id" : ""}`;
  checkRateLimit(
    context,
    { path, actions: [action] },
    {
      method,
      path: url.replace(/\?.*$/s, ""),
      collection: decodeURIComponent(collection),
    },
  );
}

function prepare(
  scope: RecordScope,
  collection: Collection,
  item: BatchItem,
  pathId: string | undefined,
): PreparedWrite {
  if (pathId !== undefined) return prepareUpdate(scope, collection, decodeURIComponent(pathId), item.body);
  const id = item.body.values["id"];
  const isUpsert = item.method === "PUT" && typeof id === "string" && id !== "";
  return isUpsert && scope.model.find(scope.db, collection, id) !== undefined
    ? prepareUpdate(scope, collection, id, item.body)
    : prepareCreate(scope, collection, item.body);
}

/** The batch's own headers with the item's over them; who asks is the batch's for all. */
function itemInfo(
  context: PbContext,
  item: BatchItem,
  method: string,
  query: Record<string, string>,
): RequestInfo {
  const headers: Record<string, string> = { ...context.info.headers };
  for (const [name, value] of Object.entries(item.headers)) {
    const key = name.toLowerCase().replaceAll("-", "_");
    if (key !== "authorization") headers[key] = value;
  }
  return {
    context: "batch",
    method: method === "PUT" ? "POST" : method,
    headers,
    query,
    body: item.body.values,
    auth: context.info.auth,
  };
}
