import { fieldError } from "../field-error.ts";
import { atLeast, atMost, cannotBeBlank, check, required } from "../rules.ts";
import { bool, integer, textsOrNull } from "../shape.ts";
import { toTexts } from "./cast.ts";
import { flag, int, optionTexts, type FieldType } from "./field-type.ts";
import { multiValue } from "./multi-value.ts";

export const selectField: FieldType = {
  ...multiValue,
  type: "select",
  options: { maxSelect: integer, required: bool, values: textsOrNull },
  validate(field, value) {
    const chosen = toTexts(value);
    if (chosen.length === 0) return flag(field, "required") ? cannotBeBlank : undefined;
    const maxSelect = Math.max(int(field, "maxSelect"), 1);
    if (chosen.length > maxSelect) {
      return fieldError("validation_too_many_values", "Select no more than {{.maxSelect}}.", { maxSelect });
    }
    const allowed = optionTexts(field, "values");
    const wrong = chosen.find((one) => !allowed.includes(one));
    return wrong === undefined
      ? undefined
      : fieldError("validation_invalid_value", "Invalid value {{.value}}.", { value: wrong });
  },
  validateOptions: (field) => ({
    values: check(field["values"], required),
    maxSelect: check(
      field["maxSelect"],
      atLeast(0),
      atMost(Math.max(optionTexts(field, "values").length, 1)),
    ),
  }),
};
