/** Checks a collection before it is saved, with PocketBase's codes and messages. */
import type { Collection, Field } from "../../../shared/schema/collection.ts";
import type { ErrorData, FieldError } from "../contract.ts";
import { errorsOf, fieldError } from "../field-error.ts";
import { noVia, validateField } from "../fields/options.ts";
import { flag } from "../fields/field-type.ts";
import {
  cannotBeBlank,
  check,
  equalTo,
  length,
  matches,
  mustBeNull,
  oneOf,
  required,
  type Rule,
} from "../rules.ts";
import type { AuthOptions } from "./auth-options.ts";
import { systemRule, usableRule, type CollectionContext } from "./validation-context.ts";
import { validateAuthOptions } from "./validate-auth.ts";
import { validateIndexes } from "./validate-indexes.ts";

const WORD = /^\w+$/;
const RULES = ["listRule", "viewRule", "createRule", "updateRule", "deleteRule"] as const;

export function validateCollection(context: CollectionContext): ErrorData | undefined {
  const { collection, before } = context;
  const isView = collection.type === "view";
  const options =
    collection.type === "auth"
      ? validateAuthOptions(context, collection.options as AuthOptions)
      : isView
        ? viewOptions(context)
        : undefined;
  return errorsOf({
    id:
      before === undefined
        ? check(collection.id, required, length(1, 100), matches(WORD), unusedId(context))
        : check(collection.id, required, equalTo(before.id)),
    system: unchanged(
      collection.system,
      before?.system,
      "flag",
      "System collection state cannot be changed.",
    ),
    type:
      check(collection.type, required, oneOf(["base", "auth", "view"])) ??
      typeChange(collection.type, before?.type),
    name: check(
      collection.name,
      required,
      length(1, 255),
      noVia,
      matches(WORD),
      systemName(context),
      uniqueName(context),
    ),
    fields: fieldsError(context),
    ...Object.fromEntries(
      RULES.map((rule) => [
        rule,
        check(
          collection[rule],
          isView && rule !== "listRule" && rule !== "viewRule" ? mustBeNull : undefined,
          usableRule(context),
          systemRule(context, before?.[rule]),
        ),
      ]),
    ),
    indexes: validateIndexes(context),
    ...options,
  });
}

function unusedId({ db }: CollectionContext): Rule {
  return (value) =>
    db.get("SELECT 1 FROM `_collections` WHERE id = ?", [String(value)]) === undefined
      ? undefined
      : fieldError("validation_invalid_or_existing_id", "The model id is invalid or already exists.");
}

function unchanged(
  value: boolean,
  before: boolean | undefined,
  what: string,
  message: string,
): FieldError | undefined {
  return before === undefined || before === value
    ? undefined
    : fieldError(`validation_collection_system_${what}_change`, message);
}

function typeChange(type: string, before: string | undefined): FieldError | undefined {
  return before === undefined || before === type
    ? undefined
    : fieldError("validation_collection_type_change", "Collection type cannot be changed.");
}

function systemName({ before }: CollectionContext): Rule {
  return (value) =>
    before?.system === true && value !== before.name
      ? fieldError("validation_collection_system_name_change", "System collection name cannot be changed.")
      : undefined;
}

function uniqueName({ db, before }: CollectionContext): Rule {
  return (value) => {
    const name = String(value);
    const owners = db.all<{ id: string }>("SELECT id FROM `_collections` WHERE LOWER(name) = ?", [
      name.toLowerCase(),
    ]);
    if (owners.some(({ id }) => id !== before?.id)) {
      return fieldError(
        "validation_collection_name_exists",
        "Collection name must be unique (case insensitive).",
      );
    }
    if (db.get("SELECT 1 FROM `_collections` WHERE id = ?", [name]) !== undefined) {
      return fieldError(
        "validation_collection_name_id_duplicate",
        "The name must not match an existing collection id.",
      );
    }
    // The table is its own: an imported one has its new name by now.
    if (owners.length > 0) return undefined;
    return db.get(
      "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND LOWER(name) = LOWER(?) LIMIT 1",
      [name],
    ) === undefined
      ? undefined
      : fieldError(
          "validation_collection_name_invalid",
          "The name shouldn't match with an existing internal table.",
        );
  };
}

function fieldsError(context: CollectionContext): FieldError | ErrorData | undefined {
  const { collection } = context;
  return (
    duplicates(collection.fields) ??
    missingFields(collection) ??
    (collection.type === "view" ? undefined : systemFieldsChange(context)) ??
    (collection.type === "auth" ? reservedNames(collection.fields) : undefined) ??
    eachField(collection.fields, (field) => validateField(field, context))
  );
}

function duplicates(fields: readonly Field[]): ErrorData | undefined {
  const [ids, names] = [new Set<string>(), new Set<string>()];
  for (const [index, { id, name }] of fields.entries()) {
    if (ids.has(id)) {
      const error = fieldError(
        "validation_duplicated_field_id",
        `Duplicated or invalid field id ${JSON.stringify(id)}.`,
      );
      return { [index]: { id: error } };
    }
    if (names.has(name.toLowerCase())) {
      const error = fieldError(
        "validation_duplicated_field_name",
        "Duplicated or invalid field name {{.fieldName}}.",
        { fieldName: name },
      );
      return { [index]: { name: error } };
    }
    ids.add(id);
    names.add(name.toLowerCase());
  }
  return undefined;
}

/** Names, types and flags of the fields without which an auth collection cannot work. */
const AUTH_FIELDS = [
  { name: "password", type: "password", hidden: true },
  { name: "tokenKey", type: "text", hidden: true },
  { name: "email", type: "email", hidden: false },
  { name: "emailVisibility", type: "bool", hidden: false },
  { name: "verified", type: "bool", hidden: false },
] as const;

function missingFields(collection: Collection): FieldError | ErrorData | undefined {
  const { fields } = collection;
  if (fields.length === 0) return cannotBeBlank;
  const id = fields.find((field) => field.name === "id");
  if (id?.type !== "text" || !flag(id, "primaryKey")) {
    return fieldError("validation_missing_primary_key", 'Missing or invalid "id" PK field.');
  }
  if (collection.type !== "auth") return undefined;
  for (const { name, type, hidden } of AUTH_FIELDS) {
    const field = fields.find((one) => one.name === name && one.type === type);
    if (field === undefined) {
      return fieldError(`validation_missing_${name}_field`, `System "${name}" field is required.`);
    }
    if (hidden && !(field.hidden && field.system)) {
      return {
        [name]: fieldError(
          "validation_must_be_system_and_hidden",
          'The field must be marked as "System" and "Hidden".',
        ),
      };
    }
    if (!field.system) {
      return { [name]: fieldError("validation_must_be_system", 'The field must be marked as "System".') };
    }
  }
  return undefined;
}

function systemFieldsChange({ collection, before }: CollectionContext): FieldError | ErrorData | undefined {
  const after = new Map(collection.fields.map((field) => [field.id, field]));
  for (const old of before?.fields ?? []) {
    if (old.system && after.get(old.id)?.name !== old.name) {
      return fieldError("validation_system_field_change", "System fields cannot be deleted or renamed.");
    }
  }
  const types = new Map(before?.fields.map((field) => [field.id, field.type]));
  return eachField(collection.fields, (field) =>
    (types.get(field.id) ?? field.type) === field.type
      ? undefined
      : fieldError("validation_field_type_change", "Field type cannot be changed."),
  );
}

function reservedNames(fields: readonly Field[]): ErrorData | undefined {
  return eachField(fields, ({ name }) =>
    name === "passwordConfirm" || name === "oldPassword"
      ? {
          name: fieldError(
            "validation_reserved_field_name",
            "The field name is reserved and cannot be used.",
          ),
        }
      : undefined,
  );
}

/** Errors by position in the list. */
function eachField(
  fields: readonly Field[],
  errorOf: (field: Field) => FieldError | ErrorData | undefined,
): ErrorData | undefined {
  return errorsOf(Object.fromEntries(fields.map((field, index) => [String(index), errorOf(field)])));
}

function viewOptions({ collection, viewError }: CollectionContext): ErrorData | undefined {
  return errorsOf({
    viewQuery:
      check(collection.options["viewQuery"], required) ??
      (viewError === undefined
        ? undefined
        : fieldError(
            "validation_invalid_view_query",
            `Invalid query - ${/[.?!]$/.test(viewError) ? viewError : `${viewError}.`}`,
          )),
  });
}
