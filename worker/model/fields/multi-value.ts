/** Select, file and relation values: one text, or a JSON array of texts when the field takes several. */
import { isMultiple, type Field } from "../../../shared/schema/collection.ts";
import { toTexts } from "./cast.ts";
import type { FieldType } from "./field-type.ts";

/** The last one wins when a single field is given several. */
function fit(field: Field, values: string[]): string | string[] {
  return isMultiple(field) ? values : (values.at(-1) ?? "");
}

export const multiValue: Pick<FieldType, "column" | "normalise" | "fromColumn" | "toColumn" | "setters"> = {
  column: (field) => (isMultiple(field) ? "JSON DEFAULT '[]' NOT NULL" : "TEXT DEFAULT '' NOT NULL"),
  normalise: (field, raw) => fit(field, toTexts(raw)),
  fromColumn(field, stored) {
    if (typeof stored === "string" && !stored.includes("[") && !isMultiple(field)) return stored;
    return stored === "[]" && isMultiple(field) ? [] : fit(field, toTexts(stored));
  },
  toColumn(field, value) {
    const values = toTexts(value);
    return isMultiple(field) ? JSON.stringify(values) : (values.at(-1) ?? "");
  },
  setters: {
    "f+": (field, current, raw) => fit(field, toTexts([...toTexts(current), ...toTexts(raw)])),
    "+f": (field, current, raw) => fit(field, toTexts([...toTexts(raw), ...toTexts(current)])),
    "f-": (field, current, raw) => {
      const gone = new Set(toTexts(raw));
      return fit(
        field,
        toTexts(current).filter((value) => !gone.has(value)),
      );
    },
  },
};
