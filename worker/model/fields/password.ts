import { fieldError } from "../field-error.ts";
import { atLeast, atMost, cannotBeBlank, check, isPattern } from "../rules.ts";
import { bool, integer, text } from "../shape.ts";
import { characterCount, toText } from "./cast.ts";
import { flag, int, optionText, type FieldType } from "./field-type.ts";
import { matchesPattern } from "./pattern.ts";

const LENGTH_MAX = 71;
/** bcrypt reads no further; a longer password is refused rather than cut. */
export const PASSWORD_BYTES_MAX = 72;

/** The canonical value is the bcrypt hash; the plain text lives in PendingRecord.passwords only. */
export const passwordField: FieldType = {
  type: "password",
  options: { cost: integer, max: integer, min: integer, pattern: text, required: bool },
  column: () => "TEXT DEFAULT '' NOT NULL",
  normalise: (_, raw) => toText(raw),
  fromColumn: (_, stored) => toText(stored),
  toColumn: (_, value) => toText(value),
  validate(field, value, { password }) {
    if (password !== undefined && Buffer.byteLength(password) > PASSWORD_BYTES_MAX) {
      return fieldError("validation_invalid_value", "Invalid value.");
    }
    if (flag(field, "required") && toText(value) === "" && (password ?? "") === "") return cannotBeBlank;
    if (password === undefined || password === "") return undefined;
    const length = characterCount(password);
    const min = int(field, "min");
    if (length < min) {
      return fieldError("validation_min_text_constraint", `Must be at least ${min} character(s).`);
    }
    const max = int(field, "max") > 0 ? int(field, "max") : LENGTH_MAX;
    if (length > max) {
      return fieldError("validation_max_text_constraint", `Must be less than ${max} character(s).`);
    }
    const pattern = optionText(field, "pattern");
    return pattern === "" || matchesPattern(pattern, password)
      ? undefined
      : fieldError("validation_invalid_format", "Invalid value format.");
  },
  validateOptions: (field) => ({
    min: check(field["min"], atLeast(1), atMost(LENGTH_MAX)),
    max: check(field["max"], atLeast(int(field, "min")), atMost(LENGTH_MAX)),
    cost: check(field["cost"], atLeast(4), atMost(31)),
    pattern: check(field["pattern"], isPattern),
  }),
};
