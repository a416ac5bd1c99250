import { cannotBeBlank } from "../rules.ts";
import { bool } from "../shape.ts";
import { toBool } from "./cast.ts";
import { flag, type FieldType } from "./field-type.ts";

export const boolField: FieldType = {
  type: "bool",
  options: { required: bool },
  column: () => "BOOLEAN DEFAULT FALSE NOT NULL",
  normalise: (_, raw) => toBool(raw),
  fromColumn: (_, stored) => toBool(stored),
  toColumn: (_, value) => toBool(value),
  validate: (field, value) => (flag(field, "required") && !toBool(value) ? cannotBeBlank : undefined),
  validateOptions: () => ({}),
};
