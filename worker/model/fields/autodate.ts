import type { Field } from "../../../shared/schema/collection.ts";
import type { FieldError } from "../contract.ts";
import { check, equalTo, type Rule } from "../rules.ts";
import { bool } from "../shape.ts";
import { parseDateText, storedDateText } from "./date-text.ts";
import { flag, type FieldType, type OptionsContext } from "./field-type.ts";

const ONE_NEEDED: FieldError = {
  code: "validation_required",
  message: "Either onCreate or onUpdate must be enabled.",
};

/** Written by save (records/save.ts) only: no input reaches it. */
export const autodateField: FieldType = {
  type: "autodate",
  options: { onCreate: bool, onUpdate: bool },
  column: () => "TEXT DEFAULT '' NOT NULL",
  normalise: (_, raw) => parseDateText(raw),
  fromColumn: (_, stored) => storedDateText(stored),
  toColumn: (_, value) => storedDateText(value),
  validate: () => undefined,
  validateOptions: (field, context) => ({
    onCreate: check(field["onCreate"], unchanged(field, "onCreate", context), oneNeeded(field)),
    onUpdate: check(field["onUpdate"], unchanged(field, "onUpdate", context), oneNeeded(field)),
  }),
};

function unchanged(field: Field, option: "onCreate" | "onUpdate", context: OptionsContext): Rule | undefined {
  if (!field.system) return undefined;
  const before = context.before?.fields.find((other) => other.id === field.id && other.type === "autodate");
  return before === undefined ? undefined : equalTo(flag(before, option));
}

const oneNeeded =
  (field: Field): Rule =>
  () =>
    flag(field, "onCreate") || flag(field, "onUpdate") ? undefined : ONE_NEEDED;
