import { fieldError } from "../field-error.ts";
import { atLeast, atMost, cannotBeBlank, check, SAFE_INTEGER_MAX } from "../rules.ts";
import { bool, integer } from "../shape.ts";
import { flag, int, type FieldType } from "./field-type.ts";
import { exactly, fromBody, fromPlainText, parseExactly, stringifyExactly } from "./json-text.ts";

const SIZE_MAX_DEFAULT = 1024 * 1024;
const EMPTY_TEXTS = new Set(["null", '""', "[]", "{}"]);

export const jsonField: FieldType = {
  type: "json",
  options: { maxSize: integer, required: bool },
  column: () => "JSON DEFAULT NULL",
  normalise: (_, raw) => (typeof raw === "string" ? fromText(raw) : fromBody(raw ?? null)),
  fromColumn(_, stored) {
    // A view may show a BLOB: PocketBase keeps its settings in one.
    const text = stored instanceof Uint8Array ? new TextDecoder().decode(stored) : stored;
    if (typeof text === "number") return fromNumber(text);
    return typeof text === "string" ? fromText(text) : (text ?? null);
  },
  toColumn: (_, value) => (value === null || value === undefined ? null : (stringifyExactly(value) ?? null)),
  validate(field, value) {
    const content = stringifyExactly(value ?? null) ?? "null";
    if (!isJson(content)) return fieldError("validation_invalid_json", "Must be a valid json value.");
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

/** Of a form, or of a view's column: what reads as JSON is JSON, anything else is a JSON text. */
function fromText(raw: string): unknown {
  if (!/^(?:null$|true$|false$|[0-9"[{-])/.test(raw)) return fromPlainText(raw);
  try {
    return parseExactly(raw);
  } catch {
    return fromPlainText(raw);
  }
}

/** SQLite makes a number of a column that holds only that; Go shows one with a fraction or beyond 64 bits in its shortest form. */
function fromNumber(stored: number): unknown {
  if (Number.isInteger(stored) && Math.abs(stored) < 2 ** 63) return stored;
  const [mantissa = "", exponent = "0"] = stored.toExponential().split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 6) return stored;
  const digits = String(Math.abs(power)).padStart(2, "0");
  return exactly(stored, `${mantissa}e${power < 0 ? "-" : "+"}${digits}`);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
