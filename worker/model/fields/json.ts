import { fieldError } from "../field-error.ts";
import { atLeast, atMost, cannotBeBlank, check, SAFE_INTEGER_MAX } from "../rules.ts";
import { bool, integer, isPlainObject } from "../shape.ts";
import { flag, int, type FieldType } from "./field-type.ts";

const SIZE_MAX_DEFAULT = 1024 * 1024;
const EMPTY_TEXTS = new Set(["null", '""', "[]", "{}"]);

export const jsonField: FieldType = {
  type: "json",
  options: { maxSize: integer, required: bool },
  column: () => "JSON DEFAULT NULL",
  normalise: (_, raw) => (typeof raw === "string" ? fromText(raw) : sorted(raw ?? null)),
  fromColumn(_, stored) {
    if (typeof stored !== "string") return stored ?? null;
    try {
      return JSON.parse(stored) as unknown;
    } catch {
      return stored === "" ? null : stored;
    }
  },
  toColumn: (_, value) => (value === null || value === undefined ? null : JSON.stringify(value)),
  validate(field, value) {
    const content = JSON.stringify(value ?? null);
    const maxSize = int(field, "maxSize") > 0 ? int(field, "maxSize") : SIZE_MAX_DEFAULT;
    if (Buffer.byteLength(content) > maxSize) {
      return fieldError(
        "validation_json_size_limit",
        "The maximum allowed JSON size is {{.maxSize}} bytes.",
        { maxSize },
      );
    }
    return flag(field, "required") && EMPTY_TEXTS.has(content) ? cannotBeBlank : undefined;
  },
  validateOptions: (field) => ({ maxSize: check(field["maxSize"], atLeast(0), atMost(SAFE_INTEGER_MAX)) }),
};

/** A form can only send text: what reads as JSON is JSON, anything else is a JSON text. */
function fromText(raw: string): unknown {
  if (!/^(?:null$|true$|false$|[0-9"[{-])/.test(raw)) return raw;
  try {
    return JSON.parse(raw) as unknown;
  } catch {
    return raw;
  }
}

/** Objects of a JSON body come out of PocketBase with their keys sorted. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .toSorted()
      .map((key) => [key, sorted(value[key])]),
  );
}
