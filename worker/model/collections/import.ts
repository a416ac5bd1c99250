/** `PUT /api/collections/import`: all given collections saved as one change, optionally removing everything that is not given. */
import type { Collection } from "../../../shared/schema/collection.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { ValidationFailure, type ViewSamples } from "../contract.ts";
import { plainObject } from "../plain-errors.ts";
import { reasonOf } from "../reason.ts";
import { fieldError } from "../field-error.ts";
import { addField } from "../fields/options.ts";
import { mergeCollection, readNewCollection, type CollectionDraft } from "./input.ts";
import { collectionErrors, normalise, storeCollection } from "./save.ts";
import type { SchemaState } from "./state.ts";

const FAILURE = "validation_collections_import_failure";

interface Change extends CollectionDraft {
  before: Collection | undefined;
}

/**
 * Views are saved last, because they may select from the others; validation follows when all are there.
 * `remove` deletes a collection without looking for references to it.
 * @throws ValidationFailure with one error under `collections`
 */
export function importCollections(
  tx: WriteTransaction,
  state: SchemaState,
  inputs: readonly Readonly<Record<string, unknown>>[],
  deleteMissing: boolean,
  remove: (collection: Collection) => void,
  samples?: ViewSamples,
): void {
  try {
    if (inputs.length === 0) throw new Error("no collections to import");
    const existing = new Map(state.in(tx).collections.map((collection) => [collection.id, collection]));
    const changes = inputs.map((input) => readChange(state, tx, input, deleteMissing)).toSorted(viewsLast);
    const kept = new Set(changes.map((change) => change.collection.id));
    if (deleteMissing) {
      for (const collection of existing.values()) {
        if (!kept.has(collection.id) && !collection.system) remove(collection);
      }
    }
    for (const change of changes) store(tx, state, change);
    for (const { collection, before } of changes) validate(tx, state, collection, before, samples);
  } catch (error) {
    if (error instanceof ValidationFailure) throw error;
    const reason = reasonOf(error);
    throw failure(`Failed to import the collections configuration. Raw error:\n${reason}`);
  }
}

function readChange(
  state: SchemaState,
  tx: WriteTransaction,
  input: Readonly<Record<string, unknown>>,
  deleteMissing: boolean,
): Change {
  const identifier = input["id"] || input["name"];
  const before = typeof identifier === "string" ? state.in(tx).find(identifier) : undefined;
  if (before === undefined) return { ...readNewCollection(input), before };
  const fields = input["fields"] ?? (deleteMissing ? [] : undefined);
  const collection = mergeCollection(before, fields === undefined ? input : { ...input, fields });
  for (const old of before.fields) {
    if (!old.system && deleteMissing) continue;
    if (collection.fields.some((field) => field.id === old.id)) continue;
    // One of another id takes the stored one's place in the list, and nothing else.
    const index = collection.fields.findIndex(({ name, type }) => name === old.name && type === old.type);
    if (index >= 0) collection.fields[index] = old;
    else addField(collection.fields, old);
  }
  return { collection, automaticId: false, before };
}

function viewsLast(a: Change, b: Change): number {
  const order = Number(a.collection.type === "view") - Number(b.collection.type === "view");
  if (order !== 0) return order;
  return a.collection.created < b.collection.created
    ? -1
    : Number(a.collection.created > b.collection.created);
}

function store(tx: WriteTransaction, state: SchemaState, change: Change): void {
  const collection = normalise(tx, change, change.before);
  try {
    if (change.before !== undefined && change.before.id !== collection.id) {
      throw new Error(
        collection.id === ""
          ? "failed to retrieve old cached collection: sql: no rows in result set"
          : "primary key change is not allowed",
      );
    }
    storeCollection(tx, state, collection, change.before);
  } catch (cause) {
    if (cause instanceof ValidationFailure) throw cause;
    const reason = reasonOf(cause);
    throw new Error(`failed to save collection ${JSON.stringify(collection.name)}: ${reason}`, { cause });
  }
}

function validate(
  tx: WriteTransaction,
  state: SchemaState,
  collection: Collection,
  before: Collection | undefined,
  samples: ViewSamples | undefined,
): void {
  // A new one is there by now: it is checked as an update of itself.
  const errors = collectionErrors(tx, state, collection, before ?? collection, samples);
  if (errors === undefined) return;
  const details = JSON.stringify(plainObject(errors), undefined, 2);
  throw failure(
    `Data validations failed for collection ${JSON.stringify(collection.name)} (${collection.id}):\n${details}`,
  );
}

function failure(message: string): ValidationFailure {
  const sentence = /[.!?]$/.test(message) ? message : `${message}.`;
  return new ValidationFailure({ collections: fieldError(FAILURE, sentence) });
}
