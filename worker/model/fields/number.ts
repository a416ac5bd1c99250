import type { Field } from "../../../shared/schema/collection.ts";
import { fieldError } from "../field-error.ts";
import { cannotBeBlank, check, type Rule } from "../rules.ts";
import { bool, numberOrNull } from "../shape.ts";
import { toNumber } from "./cast.ts";
import { flag, type FieldType } from "./field-type.ts";

export const numberField: FieldType = {
  type: "number",
  options: { max: numberOrNull, min: numberOrNull, onlyInt: bool, required: bool },
  column: () => "NUMERIC DEFAULT 0 NOT NULL",
  normalise: (_, raw) => toNumber(raw),
  fromColumn: (_, stored) => toNumber(stored),
  toColumn: (_, value) => toNumber(value),
  setters: {
    "f+": (_, current, raw) => toNumber(current) + toNumber(raw),
    "f-": (_, current, raw) => toNumber(current) - toNumber(raw),
  },
  validate(field, value) {
    const number = toNumber(value);
    if (!Number.isFinite(number)) {
      return fieldError("validation_not_a_number", "The submitted number is not properly formatted.");
    }
    if (number === 0) return flag(field, "required") ? cannotBeBlank : undefined;
    if (flag(field, "onlyInt") && (!Number.isInteger(number) || Math.abs(number) > 2 ** 63)) {
      return fieldError("validation_only_int_constraint", "Decimal numbers are not allowed.");
    }
    const [min, max] = [bound(field, "min"), bound(field, "max")];
    if (min !== null && number < min) {
      return fieldError("validation_min_number_constraint", "Must be greater or equal than {{.min}}.", {
        min,
      });
    }
    if (max !== null && number > max) {
      return fieldError("validation_max_number_constraint", "Must be less or equal than {{.max}}.", { max });
    }
    return undefined;
  },
  validateOptions(field) {
    const wholeOnly: Rule = (value) =>
      flag(field, "onlyInt") && value !== null && !Number.isInteger(value)
        ? fieldError("validation_only_int_constraint", "Decimal numbers are not allowed.")
        : undefined;
    const [min, max] = [bound(field, "min"), bound(field, "max")];
    return {
      min: wholeOnly(min),
      max: check(max, wholeOnly, min !== null && max !== null ? notBelow(min) : undefined),
    };
  },
};

function notBelow(min: number): Rule {
  return (value) =>
    typeof value === "number" && value < min
      ? fieldError("validation_min_number_constraint", `Must be greater or equal than ${min}.`, { min })
      : undefined;
}

function bound(field: Field, option: "min" | "max"): number | null {
  const value = field[option];
  return typeof value === "number" ? value : null;
}
