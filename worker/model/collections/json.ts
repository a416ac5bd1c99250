import type { Collection } from "../../../shared/schema/collection.ts";
import { publicAuthOptions } from "./auth-options.ts";

/** A collection as the API shows it, in PocketBase's key order; secrets are left out. */
export function collectionToJson(collection: Collection): Record<string, unknown> {
  const options = collection.type === "auth" ? publicAuthOptions(collection.options) : collection.options;
  return {
    id: collection.id,
    listRule: collection.listRule,
    viewRule: collection.viewRule,
    createRule: collection.createRule,
    updateRule: collection.updateRule,
    deleteRule: collection.deleteRule,
    name: collection.name,
    type: collection.type,
    fields: collection.fields,
    indexes: collection.indexes,
    created: collection.created,
    updated: collection.updated,
    system: collection.system,
    ...options,
  };
}
