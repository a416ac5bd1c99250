/** One request of a batch, inside the batch's transaction. */
import { modelOf } from "../../model/model.ts";
import { badRequest, notFound } from "../../pb/api-error.ts";
import { pickFields } from "../../pb/pick-fields.ts";
import { enrichRecord } from "../../pb/records/enrich.ts";
import { recordScope } from "../../pb/records/scope.ts";
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
import { BAD_ESCAPE, firstValues, isCleanQuery } from "../../pb/parse-query.ts";
import type { PbContext } from "../../pb/route.ts";
import type { RequestInfo } from "../../query/contract.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import type { BatchItem } from "./parse.ts";

export interface ItemResult {
  body: unknown;
  status: number;
}

const ACTION = /^(POST|PUT|PATCH|DELETE) \/api\/collections\/([^/?]+)\/records(?:\/([^/?]+))?(?:\?(.*))?$/s;

/** What an item does; a PUT is the creation or the update that it comes to. */
interface Action {
  method: "POST" | "PATCH" | "DELETE";
  /** By name or id, as it stands in the URL: a batch unescapes nothing. */
  collection: string;
  id: string;
  query: Record<string, string>;
}

/** A promise only when passwords are hashed or files stored. `prepared` is told of every write that may have stored files. */
export function runItem(
  context: PbContext,
  tx: WriteTransaction,
  item: BatchItem,
  prepared: (write: PreparedWrite) => void,
): ItemResult | Promise<ItemResult> {
  const model = modelOf(context.tenant);
  const action = actionOf(item, (name, id) => {
    const found = model.schema.find(name);
    return found !== undefined && model.find(tx, found, id) !== undefined;
  });
  const { query } = action;
  countItem(context, action);
  const scope = recordScope(tx, model, itemInfo(context, item, action));
  const collection = model.schema.find(action.collection);
  if (collection === undefined) throw notFound("Missing collection context.");
  if (collection.type === "view") throw badRequest("Unsupported collection type.");
  if (action.method === "DELETE") {
    remove(scope, tx, prepareDelete(scope, collection, action.id));
    return { body: null, status: 204 };
  }
  const write =
    action.method === "PATCH"
      ? prepareUpdate(scope, collection, action.id, item.body)
      : prepareCreate(scope, collection, item.body);
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

/** @throws ApiError 400 for what a batch does not do */
function actionOf(item: BatchItem, exists: (collection: string, id: string) => boolean): Action {
  const [, method, collection = "", pathId, search = ""] = ACTION.exec(`${item.method} ${item.url}`) ?? [];
  const rawQuery = search.replace(/#.*$/s, "");
  const takesId = method === "PATCH" || method === "DELETE";
  if (method === undefined || takesId !== (pathId !== undefined) || !isReadable(item.url, rawQuery)) {
    throw badRequest();
  }
  const named = { collection, query: firstValues(new URLSearchParams(rawQuery)) };
  if (takesId) return { ...named, method, id: pathId ?? "" };
  const id = item.body.values["id"];
  const isUpdate = method === "PUT" && typeof id === "string" && id !== "" && exists(collection, id);
  return isUpdate ? { ...named, method: "PATCH", id } : { ...named, method: "POST", id: "" };
}

const isReadable = (url: string, query: string): boolean => !BAD_ESCAPE.test(url) && isCleanQuery(query);

const ACTIONS = { POST: "create", PATCH: "update", DELETE: "delete" } as const;

/** Each item is limited as the request that it stands for. @throws ApiError 429 */
function countItem(context: PbContext, { method, collection, id }: Action): void {
  const path = `/api/collections/${collection}/records`;
  checkRateLimit(
    context,
    {
      path: `/api/collections/:collection/records${id === "" ? "" : "/:id"}`,
      actions: [ACTIONS[method]],
    },
    { method, path: id === "" ? path : `${path}/${id}`, collection },
  );
}

/** The batch's own headers with the item's over them; who asks is the batch's for all. */
function itemInfo(context: PbContext, item: BatchItem, { method, query }: Action): RequestInfo {
  const headers: Record<string, string> = { ...context.info.headers };
  for (const [name, value] of Object.entries(item.headers)) {
    const key = name.toLowerCase().replaceAll("-", "_");
    if (key !== "authorization") headers[key] = value;
  }
  return {
    context: "batch",
    method,
    headers,
    query,
    body: item.body.values,
    auth: context.info.auth,
  };
}
