import { fieldError } from "../field-error.ts";
import { atLeast, atMost, cannotBeBlank, check, SAFE_INTEGER_MAX } from "../rules.ts";
import { bool, integer } from "../shape.ts";
import { toText } from "./cast.ts";
import { flag, int, type FieldType } from "./field-type.ts";

const SIZE_MAX_DEFAULT = 5 * 1024 * 1024;

export const editorField: FieldType = {
  type: "editor",
  options: { convertURLs: bool, maxSize: integer, required: bool },
  column: () => "TEXT DEFAULT '' NOT NULL",
  normalise: (_, raw) => toText(raw),
  fromColumn: (_, stored) => toText(stored),
  toColumn: (_, value) => toText(value),
  validate(field, value) {
    const content = toText(value);
    if (content === "") return flag(field, "required") ? cannotBeBlank : undefined;
    const maxSize = int(field, "maxSize") > 0 ? int(field, "maxSize") : SIZE_MAX_DEFAULT;
    if (Buffer.byteLength(content) <= maxSize) return undefined;
    return fieldError(
      "validation_content_size_limit",
      "The maximum allowed content size is {{.maxSize}} bytes.",
      { maxSize },
    );
  },
  validateOptions: (field) => ({ maxSize: check(field["maxSize"], atLeast(0), atMost(SAFE_INTEGER_MAX)) }),
};
