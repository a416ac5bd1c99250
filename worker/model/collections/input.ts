/** A request body onto a collection: what is given replaces, what is absent stays (pocketbase.md §3). */
import type { Collection, CollectionType, Field } from "../../../shared/schema/collection.ts";
import { parseDateText } from "../fields/date-text.ts";
import { addField, readField } from "../fields/options.ts";
import { InvalidInput } from "../shape.ts";
import { newCollection } from "./defaults.ts";
import { readOptions } from "./stored.ts";

const RULES = ["listRule", "viewRule", "createRule", "updateRule", "deleteRule"] as const;
type Input = Readonly<Record<string, unknown>>;

/** A collection that is about to be validated and saved. */
export interface CollectionDraft {
  collection: Collection;
  /** The id was made from type and name, so it may still get a number when it is taken. */
  automaticId: boolean;
}

/** @throws InvalidInput */
export function readNewCollection(input: Input): CollectionDraft {
  const type = text(input, "type") ?? "";
  const scaffold = newCollection(
    type === "auth" || type === "view" ? type : "base",
    text(input, "name") ?? "",
  );
  const automatic = scaffold.id;
  const collection = apply(scaffold, input);
  collection.id ||= automatic;
  return { collection, automaticId: collection.id === automatic };
}

/** A copy of `current` with the input merged in. @throws InvalidInput */
export function mergeCollection(current: Collection, input: Input): Collection {
  return apply(structuredClone(current), input);
}

function apply(collection: Collection, input: Input): Collection {
  collection.id = text(input, "id") ?? collection.id;
  collection.name = text(input, "name") ?? collection.name;
  collection.type = (text(input, "type") ?? collection.type) as CollectionType;
  collection.created =
    input["created"] === null ? "" : parseDateText(text(input, "created") ?? collection.created);
  if (input["system"] !== undefined && input["system"] !== null) {
    if (typeof input["system"] !== "boolean") throw new InvalidInput("Cannot read system: not true or false");
    collection.system = input["system"];
  }
  for (const rule of RULES) {
    const value = input[rule];
    if (value === undefined) continue;
    if (value !== null && typeof value !== "string")
      throw new InvalidInput(`Cannot read ${rule}: not a text or null`);
    collection[rule] = value;
  }
  if (input["indexes"] !== undefined) collection.indexes = indexes(input["indexes"]);
  if (input["fields"] !== undefined) collection.fields = fields(input["fields"]);
  // Options of another type are not kept, but must be readable.
  if (collection.type !== "auth") readOptions("auth", input);
  text(input, "viewQuery");
  collection.options = readOptions(collection.type, input, collection.options);
  return collection;
}

function indexes(input: unknown): string[] {
  if (input === null) return [];
  if (!Array.isArray(input)) throw new InvalidInput("Cannot read indexes: not a list");
  return (input as unknown[]).map((item) => {
    if (item !== null && typeof item !== "string")
      throw new InvalidInput("Cannot read indexes: not a list of texts");
    return item ?? "";
  });
}

/** A field without id gets the one that is made of its type and name: a stored one with another id is not the same. */
function fields(input: unknown): Field[] {
  if (input !== null && !Array.isArray(input)) throw new InvalidInput("Cannot read fields: not a list");
  const read: Field[] = [];
  for (const item of (input ?? []) as unknown[]) addField(read, readField(item));
  return read;
}

function text(input: Input, key: string): string | undefined {
  const value = input[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw new InvalidInput(`Cannot read ${key}: not a text`);
  return value;
}
