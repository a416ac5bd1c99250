import type { ErrorData, FieldError } from "../contract.ts";
import { fieldError } from "../field-error.ts";
import {
  buildIndex,
  isValidIndex,
  parseIndex,
  singleUniqueIndex,
  type IndexExpression,
} from "./index-expression.ts";
import type { CollectionContext } from "./validation-context.ts";

export function validateIndexes(context: CollectionContext): FieldError | ErrorData | undefined {
  const { collection } = context;
  if (collection.type === "view" && collection.indexes.length > 0) {
    return fieldError("validation_indexes_not_supported", "View collections don't support indexes.");
  }
  return expressions(context) ?? lostSystemIndex(context) ?? missingAuthIndex(context);
}

function expressions(context: CollectionContext): ErrorData | undefined {
  const [names, definitions] = [new Set<string>(), new Set<string>()];
  for (const [position, expression] of context.collection.indexes.entries()) {
    // The table is always the collection's own, so what the text says of it does not matter.
    const index = { ...parseIndex(expression), tableName: "validator" };
    const error = expressionError(index, names, definitions) ?? usedElsewhere(index, context);
    if (error !== undefined) return { [position]: error };
  }
  return undefined;
}

function expressionError(
  index: IndexExpression,
  names: Set<string>,
  definitions: Set<string>,
): FieldError | undefined {
  if (!isValidIndex(index)) {
    return fieldError("validation_invalid_index_expression", "Invalid CREATE INDEX expression.");
  }
  if (names.has(index.indexName.toLowerCase())) {
    return fieldError("validation_duplicated_index_name", "The index name already exists.");
  }
  names.add(index.indexName.toLowerCase());
  const definition = buildIndex({ ...index, schemaName: "validator", indexName: "validator" });
  if (definitions.has(definition)) {
    return fieldError("validation_duplicated_index_definition", "The index definition already exists.");
  }
  definitions.add(definition);
  return undefined;
}

function usedElsewhere(
  index: IndexExpression,
  { db, collection, before }: CollectionContext,
): FieldError | undefined {
  const usedTableName = db.get<{ tbl_name: string }>(
    `SELECT tbl_name FROM sqlite_master WHERE type = 'index' AND LOWER(tbl_name) NOT IN (?, ?) AND LOWER(name) = ? LIMIT 1`,
    [(before?.name ?? "").toLowerCase(), collection.name.toLowerCase(), index.indexName.toLowerCase()],
  )?.tbl_name;
  return usedTableName === undefined
    ? undefined
    : fieldError(
        "validation_existing_index_name",
        "The index name is already used in {{.usedTableName}} collection.",
        { usedTableName },
      );
}

/** A unique index over a system field must stay; its name, WHERE, collation and order may change. */
function lostSystemIndex({ collection, before }: CollectionContext): FieldError | undefined {
  const system = new Map(before?.fields.filter((f) => f.system).map((f) => [f.name.toLowerCase(), f.name]));
  const kept = new Set(collection.indexes.map((expression) => essence(parseIndex(expression))));
  for (const expression of before?.indexes ?? []) {
    const index = parseIndex(expression);
    const backed = index.columns.map(({ name }) => system.get(name.toLowerCase())).find(Boolean);
    if (!index.unique || backed === undefined || kept.has(essence(index))) continue;
    return fieldError(
      "validation_invalid_unique_system_field_index",
      "Unique index definition on system fields ({{.fieldName}}) is invalid or missing.",
      { fieldName: backed },
    );
  }
  return undefined;
}

function essence(index: IndexExpression): string {
  return buildIndex({
    ...index,
    schemaName: "",
    indexName: "validator",
    tableName: "validator",
    where: "",
    columns: index.columns.map(({ name }) => ({ name, collate: "", sort: "" })),
  });
}

function missingAuthIndex({ collection }: CollectionContext): FieldError | undefined {
  if (collection.type !== "auth") return undefined;
  const fieldName = ["tokenKey", "email"].find(
    (name) => singleUniqueIndex(collection.indexes, name) === undefined,
  );
  return fieldName === undefined
    ? undefined
    : fieldError(
        "validation_missing_required_unique_index",
        'Missing required unique index for field "{{.fieldName}}".',
        { fieldName },
      );
}
