import type { Collection, Schema } from "../../../shared/schema/collection.ts";

/** An immutable schema with constant-time lookup; `collections` in the order given. */
export function makeSchema(collections: readonly Collection[]): Schema {
  const byName = new Map(collections.map((collection) => [collection.name.toLowerCase(), collection]));
  // As it is written: the usual case, without lower-casing it. An id wins over a name: validation keeps them apart, imported
  // data may not. Ids are told by case, names are not.
  const exact = new Map(collections.map((collection) => [collection.name, collection]));
  for (const collection of collections) exact.set(collection.id, collection);
  return {
    collections,
    find: (idOrName) => exact.get(idOrName) ?? byName.get(idOrName.toLowerCase()),
  };
}

/** The schema with one collection added or replaced (by id). */
export function withCollection(schema: Schema, collection: Collection): Schema {
  const index = schema.collections.findIndex((other) => other.id === collection.id);
  return makeSchema(
    index < 0 ? [...schema.collections, collection] : schema.collections.with(index, collection),
  );
}

export function withoutCollection(schema: Schema, id: string): Schema {
  return makeSchema(schema.collections.filter((collection) => collection.id !== id));
}

/** Relation fields that point to `target`, by the collection that has them. */
export function referencesTo(
  schema: Schema,
  target: Collection,
): { collection: Collection; fields: Collection["fields"] }[] {
  return schema.collections.flatMap((collection) => {
    const fields = collection.fields.filter(
      (field) => field.type === "relation" && field["collectionId"] === target.id,
    );
    return fields.length > 0 ? [{ collection, fields }] : [];
  });
}
