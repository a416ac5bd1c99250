import { storagePrefix } from "../../../shared/objects/layout.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { toTexts } from "../fields/cast.ts";
import { modelOf } from "../model.ts";

interface Upload {
  key: string;
  file: string;
}

const THUMBS = "thumbs_";

/** Which of these uploads, keys of the object store, records name now; a thumb goes with the file that it was made of. */
export function namedUploads(tenant: Tenant, keys: readonly string[]): ReadonlySet<string> {
  const records = new Map<string, Map<string, Upload[]>>();
  for (const key of keys) {
    const [collectionId = "", recordId = "", name = ""] = key
      .slice(storagePrefix(tenant.id).length)
      .split("/");
    const file = name.startsWith(THUMBS) ? name.slice(THUMBS.length) : name;
    const collection = records.get(collectionId) ?? new Map<string, Upload[]>();
    records.set(collectionId, collection);
    // A file may itself be called `thumbs_…`.
    for (const one of new Set([file, name])) {
      collection.set(recordId, [...(collection.get(recordId) ?? []), { key, file: one }]);
    }
  }
  const named = new Set<string>();
  const { collections } = modelOf(tenant).schema;
  tenant.data.read(tenant.observe(), (db) => {
    for (const [id, uploads] of records) {
      const collection = collections.find((one) => one.id === id && one.type !== "view");
      if (collection === undefined) continue;
      for (const [recordId, files] of filesOf(db, collection, [...uploads.keys()])) {
        for (const { key, file } of uploads.get(recordId) ?? []) if (files.has(file)) named.add(key);
      }
    }
  });
  return named;
}

function* filesOf(
  db: SqlReader,
  collection: Collection,
  ids: readonly string[],
): Generator<[string, ReadonlySet<string>]> {
  const columns = collection.fields.filter(({ type }) => type === "file").map(({ name }) => quoted(name));
  if (columns.length === 0) return;
  const rows = db.values(
    `SELECT id, ${columns.join(", ")} FROM ${quoted(collection.name)} WHERE id IN (SELECT value FROM json_each(?))`,
    [JSON.stringify(ids)],
  );
  for (const [id, ...values] of rows) yield [String(id), new Set(values.flatMap((value) => toTexts(value)))];
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
