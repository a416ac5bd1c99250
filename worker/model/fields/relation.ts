import type { Field } from "../../../shared/schema/collection.ts";
import type { FieldError } from "../contract.ts";
import { fieldError } from "../field-error.ts";
import { atLeast, cannotBeBlank, check, required } from "../rules.ts";
import { bool, integer, text } from "../shape.ts";
import { toTexts } from "./cast.ts";
import {
  flag,
  int,
  optionText,
  type FieldType,
  type OptionsContext,
  type ValueContext,
} from "./field-type.ts";
import { multiValue } from "./multi-value.ts";

export const relationField: FieldType = {
  ...multiValue,
  type: "relation",
  options: {
    cascadeDelete: bool,
    collectionId: text,
    maxSelect: integer,
    minSelect: integer,
    required: bool,
  },
  validate(field, value, context) {
    const ids = toTexts(value);
    if (ids.length === 0) return flag(field, "required") ? cannotBeBlank : undefined;
    const minSelect = int(field, "minSelect");
    if (minSelect > 0 && ids.length < minSelect) {
      return fieldError("validation_not_enough_values", "Select at least {{.minSelect}}.", { minSelect });
    }
    const maxSelect = Math.max(int(field, "maxSelect"), 1);
    if (ids.length > maxSelect) {
      return fieldError("validation_too_many_values", "Select no more than {{.maxSelect}}.", { maxSelect });
    }
    return missingRecords(field, ids, context);
  },
  validateOptions(field, context) {
    const minSelect = int(field, "minSelect");
    return {
      collectionId: check(field["collectionId"], required) ?? targetError(field, context),
      minSelect: check(minSelect, atLeast(0)),
      maxSelect: check(field["maxSelect"], minSelect > 0 ? required : undefined, atLeast(minSelect)),
    };
  },
};

function missingRecords(field: Field, ids: readonly string[], context: ValueContext): FieldError | undefined {
  const target = context.schema.find(optionText(field, "collectionId"));
  if (target === undefined) {
    return fieldError(
      "validation_missing_rel_collection",
      "Relation connection is missing or cannot be accessed.",
    );
  }
  if (context.db === undefined) return undefined;
  const found =
    ids.length === 1
      ? context.db.values(`SELECT 1 FROM \`${target.name}\` WHERE id = ? LIMIT 1`, [ids[0] ?? ""]).length
      : Number(
          context.db.values(
            `SELECT count(*) FROM \`${target.name}\` WHERE id IN (SELECT value FROM json_each(?))`,
            [JSON.stringify(ids)],
          )[0]?.[0] ?? 0,
        );
  return found === ids.length
    ? undefined
    : fieldError(
        "validation_missing_rel_records",
        "Failed to find all relation records with the provided ids.",
      );
}

function targetError(field: Field, context: OptionsContext): FieldError | undefined {
  const id = optionText(field, "collectionId");
  const before = context.before?.fields.find((other) => other.id === field.id && other.type === "relation");
  if (before !== undefined && before["collectionId"] !== id) {
    return fieldError("validation_field_relation_change", "The relation collection cannot be changed.");
  }
  const target = id === context.collection.id ? context.collection : context.schema.find(id);
  // A collection that relates to itself is not yet stored while it is being created: PocketBase refuses that.
  if (
    target === undefined ||
    target.id !== id ||
    (target === context.collection && context.before === undefined)
  ) {
    return fieldError(
      "validation_field_relation_missing_collection",
      "The relation collection doesn't exist.",
    );
  }
  return context.collection.type !== "view" && target.type === "view"
    ? fieldError(
        "validation_relation_field_non_view_base_collection",
        "Only view collections are allowed to have relations to other views.",
      )
    : undefined;
}
