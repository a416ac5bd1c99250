/** A field's settings: reading them from JSON, their order, default ids, and the checks common to all types. */
import type { Field, FieldType as TypeName } from "../../../shared/schema/collection.ts";
import type { ErrorData } from "../contract.ts";
import { errorsOf, fieldError } from "../field-error.ts";
import { check, length, matches, noneOf, required, type Rule } from "../rules.ts";
import { bool, InvalidInput, isPlainObject, merge, text, type Shape } from "../shape.ts";
import type { OptionsContext } from "./field-type.ts";
import { FIELD_TYPES, isFieldType, typeOf } from "./registry.ts";

const COMMON = { hidden: bool, id: text, name: text, presentable: bool, system: bool } as const;

const HELP_MAX = 300;

/** Names that filters and the API use for something else. */
const RESERVED_NAMES = ["null", "true", "false", "_rowid_", "collectionId", "collectionName", "expand"];

export const noVia: Rule = (value) =>
  typeof value === "string" && value.toLowerCase().includes("_via_")
    ? fieldError("validation_found_via", 'The value cannot contain "_via_".')
    : undefined;

/** Keys of every serialised field stand in alphabetical order. */
const shapes = new Map<TypeName, Shape>(
  Object.values(FIELD_TYPES).map(({ type, options }) => {
    const keys: Record<string, Shape> = { ...COMMON, ...options };
    if (type !== "autodate") keys["help"] = text;
    return [type, { kind: "object", keys }];
  }),
);

/** A field from JSON, complete and in PocketBase's key order. @throws InvalidInput for an unknown type or a wrong value */
export function readField(input: unknown): Field {
  const type = isPlainObject(input) ? input["type"] : undefined;
  if (!isFieldType(type)) throw new InvalidInput(`missing or unknown field type in ${JSON.stringify(input)}`);
  const shape = shapes.get(type);
  if (shape === undefined) throw new InvalidInput(`Cannot read field: no shape of ${type}`);
  const options = merge(shape, undefined, input, "field") as Record<string, unknown>;
  return sortKeys({ ...options, type }) as Field;
}

function sortKeys(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.keys(record)
      .toSorted()
      .map((key) => [key, record[key]]),
  );
}

/** The id of a field that came without one: its type and the checksum of its name. */
function defaultFieldId(type: string, name: string): string {
  return type + String(Bun.hash.crc32(name));
}

/**
 * Adds to a list as PocketBase does: a field without id replaces the one of its name (and takes its id), one with an id the one
 * of that id; anything else is appended.
 */
export function addField(fields: Field[], added: Field): void {
  const byName = added.id === "";
  const index = fields.findIndex((field) =>
    byName ? added.name !== "" && field.name === added.name : field.id === added.id,
  );
  if (index >= 0) {
    const replaced = fields[index];
    fields[index] = byName ? { ...added, id: replaced?.id ?? "" } : added;
    return;
  }
  fields.push(byName ? { ...added, id: freeId(fields, added) } : added);
}

function freeId(fields: readonly Field[], added: Field): string {
  const base = defaultFieldId(added.type, added.name);
  let id = base;
  for (let i = 2; fields.some((field) => field.id === id); i++) id = `${base}${i}`;
  return id;
}

/** Errors of one field's settings by option. */
export function validateField(field: Field, context: OptionsContext): ErrorData | undefined {
  const specific = typeOf(field).validateOptions(field, context);
  return errorsOf({
    ...specific,
    id: check(field.id, required, length(1, 100)),
    help: check(field["help"], length(1, HELP_MAX)),
    name:
      check(field.name, required, length(1, 100), matches(/^\w+$/), noneOf(RESERVED_NAMES), noVia) ??
      specific["name"],
  });
}
