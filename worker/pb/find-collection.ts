import type { Collection } from "../../shared/schema/collection.ts";
import { modelOf } from "../model/model.ts";
import { badRequest, notFound, notThere } from "./api-error.ts";
import type { PbContext } from "./route.ts";

/** The collection that the path names by name or id. @throws ApiError 404 */
export function findCollection(context: PbContext): Collection {
  const found = modelOf(context.tenant).schema.find(context.params["collection"] ?? "");
  if (found === undefined) throw notThere("Missing collection context.");
  return found;
}

/** @throws ApiError 404, 400 for a view */
export function findWritableCollection(context: PbContext): Collection {
  const found = findCollection(context);
  if (found.type === "view") throw badRequest("Unsupported collection type.");
  return found;
}

/** @throws ApiError 404, with other words for a collection that is not one of accounts */
export function findAuthCollection(context: PbContext): Collection {
  const found = findNamedCollection(context);
  if (found.type !== "auth") throw notFound("Missing or invalid auth collection context.");
  return found;
}

/** Where PocketBase looks the collection up before the handler, to limit the rate. @throws ApiError 404 */
export function findNamedCollection(context: PbContext): Collection {
  const found = modelOf(context.tenant).schema.find(context.params["collection"] ?? "");
  if (found === undefined) throw notThere("Missing or invalid collection context.");
  return found;
}
