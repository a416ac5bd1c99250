import type { Field } from "../../../shared/schema/collection.ts";
import type { FieldError } from "../contract.ts";
import { fieldError } from "../field-error.ts";
import {
  atLeast,
  atMost,
  cannotBeBlank,
  check,
  isPattern,
  mustBeEmpty,
  oneOf,
  required,
  SAFE_INTEGER_MAX,
} from "../rules.ts";
import { bool, integer, text } from "../shape.ts";
import { characterCount, toText } from "./cast.ts";
import {
  flag,
  int,
  optionText,
  type FieldType,
  type OptionsContext,
  type ValueContext,
} from "./field-type.ts";
import { matchesPattern } from "./pattern.ts";
import { randomByPattern } from "./random-pattern.ts";

export const DEFAULT_ID_PATTERN = "^[a-z0-9]+$";

const LENGTH_MAX_DEFAULT = 5_000;
/** A primary key is also a directory name in the file store, so what file systems dislike is refused. */
const FORBIDDEN_IN_KEY = "./\\|\"'`<>:?*%$\0\t\n\r ".split("");
const RESERVED_KEY = /^(?:con|prn|aux|nul|com[1-9]|lpt[1-9])$/i;

export const textField: FieldType = {
  type: "text",
  options: {
    autogeneratePattern: text,
    max: integer,
    min: integer,
    pattern: text,
    primaryKey: bool,
    required: bool,
  },
  column: (field) =>
    flag(field, "primaryKey")
      ? "TEXT PRIMARY KEY DEFAULT ('r'||lower(hex(randomblob(7)))) NOT NULL"
      : "TEXT DEFAULT '' NOT NULL",
  normalise: (_, raw) => toText(raw),
  fromColumn: (_, stored) => toText(stored),
  toColumn: (_, value) => toText(value),
  setters: {
    "f:autogenerate": (field, _, raw) => {
      const pattern = optionText(field, "autogeneratePattern");
      return toText(raw) + (pattern === "" ? "" : randomByPattern(pattern));
    },
  },
  validate(field, value, context) {
    const content = toText(value);
    if (flag(field, "primaryKey")) {
      if (!context.isNew) return keyChange(content, context);
      const clash = caseClash(field, content, context);
      if (clash !== undefined) return clash;
    }
    return validatePlain(field, content);
  },
  validateOptions(field, context) {
    const isKey = flag(field, "primaryKey");
    return {
      name: check(field.name, isKey ? oneOf(["id"], 'The primary key must be named "id".') : undefined),
      primaryKey: isKey ? singleKey(context) : undefined,
      min: check(field["min"], atLeast(0), atMost(SAFE_INTEGER_MAX)),
      max: check(field["max"], atLeast(int(field, "min")), atMost(SAFE_INTEGER_MAX)),
      pattern: check(field["pattern"], isKey ? required : undefined, isPattern),
      hidden: check(field.hidden, isKey ? mustBeEmpty : undefined),
      required: check(field["required"], isKey ? required : undefined),
      autogeneratePattern: check(field["autogeneratePattern"], isPattern) ?? generatable(field),
    };
  },
};

function keyChange(value: string, context: ValueContext): FieldError | undefined {
  return value === context.before
    ? undefined
    : fieldError("validation_pk_change", "The record primary key cannot be changed.");
}

/** With a pattern that allows upper case, two keys may differ by case only: some file systems would merge them. */
function caseClash(field: Field, value: string, context: ValueContext): FieldError | undefined {
  if (optionText(field, "pattern") === DEFAULT_ID_PATTERN || context.db === undefined) return undefined;
  const found = context.db.get(
    `SELECT 1 FROM \`${context.collection.name}\` WHERE id = ? COLLATE NOCASE LIMIT 1`,
    [value],
  );
  return found === undefined
    ? undefined
    : fieldError("validation_pk_invalid", "The record primary key is invalid or already exists.");
}

export function validatePlain(field: Field, value: string): FieldError | undefined {
  const isKey = flag(field, "primaryKey");
  if (value === "") return flag(field, "required") || isKey ? cannotBeBlank : undefined;
  const length = characterCount(value);
  const min = int(field, "min");
  if (min > 0 && length < min) {
    return fieldError("validation_min_text_constraint", "Must be at least {{.min}} character(s).", { min });
  }
  const max = int(field, "max") || LENGTH_MAX_DEFAULT;
  if (length > max) {
    return fieldError("validation_max_text_constraint", "Must be no more than {{.max}} character(s).", {
      max,
    });
  }
  const pattern = optionText(field, "pattern");
  if (pattern !== "" && !matchesPattern(pattern, value)) {
    return fieldError("validation_invalid_format", "Invalid value format.");
  }
  if (!isKey || pattern === DEFAULT_ID_PATTERN) return undefined;
  const ch = FORBIDDEN_IN_KEY.find((character) => value.includes(character));
  if (ch !== undefined) {
    return fieldError(
      "validation_forbidden_pk_character",
      "'{{.ch}}' is not a valid primary key character.",
      { ch },
    );
  }
  if (!RESERVED_KEY.test(value)) return undefined;
  const reserved = value.toUpperCase();
  return fieldError(
    "validation_reserved_pk",
    "The primary key '{{.reserved}}' is reserved and cannot be used.",
    {
      reserved,
    },
  );
}

function singleKey(context: OptionsContext): FieldError | undefined {
  const keys = context.collection.fields.filter(
    (field) => field.type === "text" && flag(field, "primaryKey"),
  );
  return keys.length > 1
    ? fieldError(
        "validation_unsupported_composite_pk",
        "Composite PKs are not supported and the collection must have only 1 PK.",
      )
    : undefined;
}

/** Ten samples must satisfy the field's own limits. */
function generatable(field: Field): FieldError | undefined {
  const pattern = optionText(field, "autogeneratePattern");
  if (pattern === "") return undefined;
  for (let i = 0; i < 10; i++) {
    let sample: string;
    try {
      sample = randomByPattern(pattern);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return fieldError("validation_invalid_autogenerate_pattern", `${reason}.`);
    }
    if (validatePlain(field, sample) !== undefined) {
      return fieldError(
        "validation_invalid_autogenerate_pattern_value",
        `The provided autogenerate pattern could produce invalid field values, ex.: ${JSON.stringify(sample)}.`,
      );
    }
  }
  return undefined;
}
