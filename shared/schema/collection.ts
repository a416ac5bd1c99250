/**
 * A PocketBase collection as the API shows it and as `_collections` stores it (there, type options are in an `options` column).
 * Field options are open: each field type reads its own (worker/model/fields/<type>.ts); unknown ones are kept.
 */
export type CollectionType = "base" | "auth" | "view";

export const FIELD_TYPES = [
  "text",
  "number",
  "bool",
  "email",
  "url",
  "editor",
  "date",
  "autodate",
  "select",
  "file",
  "relation",
  "json",
  "password",
  "geoPoint",
] as const;
export type FieldType = (typeof FIELD_TYPES)[number];

export interface Field {
  id: string;
  name: string;
  type: FieldType;
  system: boolean;
  hidden: boolean;
  presentable: boolean;
  /** Type options, e.g. `maxSelect`, `collectionId`, `required`. */
  [option: string]: unknown;
}

export interface Collection {
  id: string;
  name: string;
  type: CollectionType;
  system: boolean;
  fields: Field[];
  indexes: string[];
  listRule: string | null;
  viewRule: string | null;
  createRule: string | null;
  updateRule: string | null;
  deleteRule: string | null;
  created: string;
  updated: string;
  /** Options of auth (`authRule`, `passwordAuth`, `authToken`…) and view (`viewQuery`) collections, with secrets. */
  options: Record<string, unknown>;
}

/** A tenant's schema as the query compiler and the record code see it: immutable, replaced as a whole by a schema change. */
export interface Schema {
  readonly collections: readonly Collection[];
  /** By id, or by name without regard to case. */
  find(idOrName: string): Collection | undefined;
}

/** Whether a select, file or relation field holds one value (stored as text) or several (stored as a JSON array). */
export function isMultiple(field: Field): boolean {
  return (
    (field.type === "select" || field.type === "file" || field.type === "relation") &&
    Number(field["maxSelect"] ?? 1) > 1
  );
}
