/** Creating and changing collections: normalise, validate, store, change the table, refresh the views. All in the transaction. */
import type { Collection } from "../../../shared/schema/collection.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { ValidationFailure, type ViewSamples } from "../contract.ts";
import { reasonOf } from "../reason.ts";
import { nowText } from "../fields/date-text.ts";
import { addField } from "../fields/options.ts";
import { newTokenSecret, type AuthOptions } from "./auth-options.ts";
import { addDefaults, defaultCollectionId, unmapMissingFields } from "./defaults.ts";
import { buildIndex, parseIndex } from "./index-expression.ts";
import { dryRunView } from "./dry-run.ts";
import type { CollectionDraft } from "./input.ts";
import { renameInRateLimits } from "./rename-limits.ts";
import { checkRule } from "./rule-check.ts";
import { withCollection } from "./schema.ts";
import type { SchemaState } from "./state.ts";
import { SUPERUSERS } from "./system-names.ts";
import { insertCollection, updateCollectionRow } from "./stored.ts";
import { changeTable, createTable } from "./table.ts";
import { validateCollection } from "./validate.ts";
import { MissingIdColumn, viewFields } from "./view-fields.ts";
import { refreshViews, saveView, viewQueryOf } from "./views.ts";

/** Characters of what is told about a view query. */
const VIEW_REASON_MAX = 500;

/** @throws ValidationFailure, or what SQLite says */
export function saveCollection(
  tx: WriteTransaction,
  state: SchemaState,
  draft: CollectionDraft,
  before: Collection | undefined,
  samples?: ViewSamples,
): Collection {
  const { id } = draft.collection;
  if (before !== undefined && id !== before.id && state.in(tx).find(id) === undefined) {
    throw new Error("failed to retrieve old cached collection: sql: no rows in result set");
  }
  const collection = normalise(tx, draft, before);
  const errors = collectionErrors(tx, state, collection, before, samples);
  if (errors !== undefined) throw new ValidationFailure(errors);
  return storeCollection(tx, state, collection, before);
}

/** Times, defaults, id and index texts as they will be stored. */
export function normalise(
  tx: WriteTransaction,
  draft: CollectionDraft,
  before: Collection | undefined,
): Collection {
  const { collection } = draft;
  collection.type ||= "base";
  collection.updated = nowText();
  if (before === undefined) collection.created = collection.updated;
  const fields: Collection["fields"] = [];
  for (const field of collection.fields) addField(fields, field);
  collection.fields = fields;
  addDefaults(collection);
  unmapMissingFields(collection);
  if (before === undefined && draft.automaticId) takeFreeId(tx, collection);
  collection.indexes = collection.indexes.map((expression) => {
    const index = parseIndex(expression);
    return index.tableName === collection.name
      ? expression
      : buildIndex({ ...index, tableName: collection.name }) || expression;
  });
  if (collection.name === SUPERUSERS && collection.type === "auth") restrictSuperusers(collection, before);
  return collection;
}

/** An id that was made from the name gets a number when it is taken; default index names follow. */
function takeFreeId(tx: WriteTransaction, collection: Collection): void {
  const base = defaultCollectionId(collection.type, collection.name);
  const taken = (id: string): boolean =>
    tx.get("SELECT 1 FROM `_collections` WHERE id = ?", [id]) !== undefined;
  let id = base;
  for (let i = 2; taken(id); i++) id = `${base}${i}`;
  if (id === collection.id) return;
  collection.indexes = collection.indexes.map((expression) => {
    const index = parseIndex(expression);
    return index.indexName.includes(collection.id)
      ? buildIndex({ ...index, indexName: index.indexName.replaceAll(collection.id, id) })
      : expression;
  });
  collection.id = id;
}

/** Superusers sign in by password always, never by OAuth2, and by OTP only as a second factor. */
function restrictSuperusers(collection: Collection, before: Collection | undefined): void {
  if (before === undefined) return;
  const options = collection.options as AuthOptions;
  options.oauth2 = { ...options.oauth2, enabled: false, providers: null };
  options.passwordAuth.enabled = true;
  if (options.otp.enabled) options.mfa.enabled = true;
}

export function collectionErrors(
  tx: WriteTransaction,
  state: SchemaState,
  collection: Collection,
  before: Collection | undefined,
  samples?: ViewSamples,
): ReturnType<typeof validateCollection> {
  let viewError: string | undefined;
  if (collection.type === "view") {
    const query = viewQueryOf(collection);
    try {
      collection.fields = viewFields(tx, state.in(tx), query);
    } catch (error) {
      collection.fields = error instanceof MissingIdColumn ? error.fields : [];
    }
    try {
      if (query !== "") dryRunView(tx, state, query, samples);
    } catch (error) {
      viewError = reasonOf(error).slice(0, VIEW_REASON_MAX);
    }
  }
  const schema = withCollection(state.in(tx), collection);
  return validateCollection({ db: tx, schema, collection, before, checkRule, viewError });
}

/** Stores a checked collection. @throws ValidationFailure for an index that SQLite refuses, or what SQLite says */
export function storeCollection(
  tx: WriteTransaction,
  state: SchemaState,
  collection: Collection,
  before: Collection | undefined,
): Collection {
  if (before?.type === "auth") expireTokens(collection, before);
  if (collection.type === "view") saveView(tx, state, collection, before?.name);
  if (before === undefined) insertCollection(tx, collection);
  else updateCollectionRow(tx, collection);
  if (collection.type !== "view") {
    if (before === undefined) createTable(tx, collection);
    else changeTable(tx, before, collection);
  }
  if (before !== undefined && before.name !== collection.name)
    renameInRateLimits(tx, before.name, collection.name);
  state.change(tx, withCollection(state.in(tx), collection));
  try {
    state.nested(tx, () => refreshViews(tx, state, [collection, before ?? collection]));
  } catch {
    // A view that no longer works keeps its old definition, so that its query can be corrected.
  }
  return collection;
}

/** Who may sign in has changed: tokens issued under the old rule end. */
function expireTokens(collection: Collection, before: Collection): void {
  const [after, old] = [collection.options as AuthOptions, before.options as AuthOptions];
  if ((after.authRule ?? "") !== (old.authRule ?? "")) {
    collection.options = { ...after, authToken: { ...after.authToken, secret: newTokenSecret() } };
  }
}
