/** What every collection of a type has: system fields, their indexes, default id and options. */
import type { Collection, CollectionType, Field } from "../../../shared/schema/collection.ts";
import { addField, readField } from "../fields/options.ts";
import { DEFAULT_ID_PATTERN } from "../fields/text.ts";
import { defaultAuthOptions, type AuthOptions } from "./auth-options.ts";
import { singleUniqueIndex } from "./index-expression.ts";

const INDEX_NAME_MAX = 64;

export function defaultCollectionId(type: string, name: string): string {
  return `pbc_${Bun.hash.crc32(type + name)}`;
}

/** A new collection of a type with its defaults; nothing is stored. */
export function newCollection(type: CollectionType, name: string, id?: string): Collection {
  const collection: Collection = {
    id: id ?? defaultCollectionId(type, name),
    name,
    type,
    system: false,
    fields: [],
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
  if (type === "auth") collection.options = defaultAuthOptions();
  if (type === "view") collection.options = { viewQuery: "" };
  addDefaults(collection);
  return collection;
}

/** Adds the system fields and indexes that are missing and enforces their flags. */
export function addDefaults(collection: Collection): void {
  if (collection.type === "view") return;
  ensureId(collection);
  if (collection.type !== "auth") return;
  ensure(collection, { type: "password", name: "password", hidden: true, required: true, min: 8 }, true);
  ensure(
    collection,
    {
      type: "text",
      name: "tokenKey",
      hidden: true,
      required: true,
      min: 30,
      max: 60,
      autogeneratePattern: "[a-zA-Z0-9]{50}",
    },
    true,
  );
  ensureUniqueIndex(collection, "tokenKey", "");
  ensure(collection, { type: "email", name: "email", required: true }, false);
  ensureUniqueIndex(collection, "email", " WHERE `email` != ''");
  ensure(collection, { type: "bool", name: "emailVisibility" }, undefined);
  ensure(collection, { type: "bool", name: "verified" }, undefined);
}

function ensureId(collection: Collection): void {
  const index = collection.fields.findIndex((field) => field.name === "id" && field.type === "text");
  const existing = collection.fields[index];
  if (existing !== undefined) {
    collection.fields[index] = {
      ...existing,
      system: true,
      required: true,
      primaryKey: true,
      hidden: false,
      pattern: existing["pattern"] === "" ? DEFAULT_ID_PATTERN : existing["pattern"],
    };
    return;
  }
  const fields: Field[] = [];
  addField(
    fields,
    readField({
      type: "text",
      name: "id",
      system: true,
      primaryKey: true,
      required: true,
      min: 15,
      max: 15,
      pattern: DEFAULT_ID_PATTERN,
      autogeneratePattern: "[a-z0-9]{15}",
    }),
  );
  for (const field of collection.fields) addField(fields, field);
  collection.fields = fields;
}

/** `hidden`: the flag that the system enforces on this field; true also makes it required; undefined leaves it alone. */
function ensure(
  collection: Collection,
  wanted: { type: string; name: string } & Record<string, unknown>,
  hidden: boolean | undefined,
): void {
  const { fields } = collection;
  const index = fields.findIndex((field) => field.name === wanted.name && field.type === wanted.type);
  const existing = fields[index];
  if (existing === undefined) {
    addField(fields, readField({ ...wanted, system: true }));
    return;
  }
  fields[index] = {
    ...existing,
    system: true,
    hidden: hidden ?? existing.hidden,
    ...(hidden === true ? { required: true } : {}),
  };
}

function ensureUniqueIndex(collection: Collection, field: string, where: string): void {
  if (singleUniqueIndex(collection.indexes, field) !== undefined) return;
  const name = `idx_${field}_${collection.id || collection.name}`.slice(0, INDEX_NAME_MAX);
  collection.indexes.push(`CREATE UNIQUE INDEX \`${name}\` ON \`${collection.name}\` (\`${field}\`)${where}`);
}

/** OAuth2 fields that no longer exist are unmapped. */
export function unmapMissingFields(collection: Collection): void {
  if (collection.type !== "auth") return;
  const { mappedFields } = (collection.options as AuthOptions).oauth2;
  for (const key of ["id", "name", "username", "avatarURL"] as const) {
    if (!collection.fields.some((field) => field.name === mappedFields[key])) mappedFields[key] = "";
  }
}
