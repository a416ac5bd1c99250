import type { FieldError } from "../contract.ts";
import { cannotBeBlank } from "../rules.ts";
import { bool, date } from "../shape.ts";
import { parseDateText, storedDateText } from "./date-text.ts";
import { flag, optionText, type FieldType } from "./field-type.ts";

export const dateField: FieldType = {
  type: "date",
  options: { max: date, min: date, required: bool },
  column: () => "TEXT DEFAULT '' NOT NULL",
  normalise: (_, raw) => parseDateText(raw),
  fromColumn: (_, stored) => storedDateText(stored),
  toColumn: (_, value) => storedDateText(value),
  validate(field, value) {
    const moment = parseDateText(value);
    if (moment === "") return flag(field, "required") ? cannotBeBlank : undefined;
    const [min, max] = [optionText(field, "min"), optionText(field, "max")];
    if (min !== "" && moment < min) {
      return outOfRange("validation_min_greater_equal_than_required", "Must be no less than", min);
    }
    if (max !== "" && moment > max) {
      return outOfRange("validation_max_less_equal_than_required", "Must be no greater than", max);
    }
    return undefined;
  },
  validateOptions: () => ({}),
};

/** The bound is written in the sentence and in `threshold` in Go's two forms of a time, without trailing zeros. */
function outOfRange(code: string, sentence: string, bound: string): FieldError {
  const [day, clock] = bound.slice(0, -1).split(" ");
  const time = trimFraction(clock ?? "");
  return {
    code,
    message: `${sentence} ${day} ${time} +0000 UTC.`,
    params: { threshold: `${day}T${time}Z` },
  };
}

function trimFraction(clock: string): string {
  const [whole, fraction = ""] = clock.split(".");
  const significant = fraction.replace(/0+$/, "");
  return significant === "" ? (whole ?? "") : `${whole}.${significant}`;
}
