/** `/api/collections*`: superusers only (pocketbase.md §1, §3). Records below a collection belong to the records feature. */
import type { Collection } from "../../../shared/schema/collection.ts";
import { collectionToJson } from "../../model/collections/json.ts";
import { newCollection } from "../../model/collections/defaults.ts";
import { referencesTo } from "../../model/collections/schema.ts";
import type { TenantModel } from "../../model/contract.ts";
import { reasonOf } from "../../model/reason.ts";
import { isPlainObject } from "../../model/shape.ts";
import { modelOf } from "../../model/model.ts";
import { recordToJson } from "../../model/records/to-json.ts";
import { ApiError, badRequest, notThere } from "../../pb/api-error.ts";
import type { BoundBody, FeatureRoute, PbContext } from "../../pb/route.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { randomText } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { SystemError, UserError } from "../../../shared/errors.ts";
import { listCollections } from "./list.ts";
import { isStopped, tryViewQueries } from "./view-queries.ts";
import { INVALID_FORMAT, orRefuse } from "./write.ts";

type Handler = FeatureRoute["handle"];

const ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";

function forSuperusers(method: FeatureRoute["method"], path: string, handle: Handler): FeatureRoute {
  return {
    method,
    path: `/api/collections${path}`,
    handle: (context) => {
      context.requireSuperuser();
      return handle(context);
    },
  };
}

/** A view whose rows take too long to be looked at may be saved. */
const hasEnded = (failure: Error): boolean => !isStopped(failure);

const LOAD_FAILED = "An error occurred while loading the submitted data.";

const create: Handler = async (context) => {
  const values = await newCollectionBody(context);
  const samples = await tryViewQueries(context, [values], "Failed to create collection.", hasEnded);
  const created = await orRefuse("Failed to create collection.", () =>
    inTransaction(context, (tx, model) => model.createCollection(tx, { ...values }, samples)),
  );
  return context.json(200, collectionToJson(created));
};

/** PocketBase reads the type first, to know what else to read. */
async function newCollectionBody(context: PbContext): Promise<Readonly<Record<string, unknown>>> {
  const unreadable = "Failed to load the collection type data due to invalid formatting.";
  const { values } = await bodyOr(context, unreadable);
  const isText = (value: unknown): boolean =>
    value === undefined || value === null || typeof value === "string";
  if (!isText(values["type"]) || !isText(values["name"])) throw badRequest(unreadable);
  return values;
}

async function bodyOr(context: PbContext, unreadable: string): Promise<BoundBody> {
  try {
    return await context.body();
  } catch (error) {
    throw error instanceof ApiError && error.status === 400
      ? badRequest(unreadable, undefined, error)
      : error;
  }
}

const view: Handler = (context) =>
  context.json(200, collectionToJson(named(modelOf(context.tenant).schema, context)));

const update: Handler = async (context) => {
  named(modelOf(context.tenant).schema, context);
  const { values } = await bodyOr(context, INVALID_FORMAT);
  const samples = await tryViewQueries(context, [values], "Failed to update collection.", hasEnded);
  const updated = await orRefuse("Failed to update collection.", () =>
    inTransaction(context, (tx, model) =>
      model.updateCollection(tx, named(model.schemaIn(tx), context), { ...values }, samples),
    ),
  );
  return context.json(200, collectionToJson(updated));
};

const remove: Handler = async (context) => {
  const { schema } = modelOf(context.tenant);
  const collection = named(schema, context);
  try {
    await inTransaction(context, (tx, model) =>
      model.deleteCollection(tx, named(model.schemaIn(tx), context)),
    );
  } catch (cause) {
    if (isOwn(cause)) throw cause;
    const names = referencesTo(schema, collection)
      .map((reference) => reference.collection.name)
      .filter((name) => name !== collection.name);
    const because = names.length === 0 ? "" : ` probably due to existing reference in ${names.join(", ")}`;
    throw badRequest(`Failed to delete collection${because}`, {}, cause);
  }
  return context.noContent();
};

const truncate: Handler = async (context) => {
  const collection = named(modelOf(context.tenant).schema, context);
  if (collection.type === "view") {
    throw badRequest("View collections cannot be truncated since they don't store their own records.");
  }
  try {
    await inTransaction(context, (tx, model) =>
      model.truncateCollection(tx, named(model.schemaIn(tx), context)),
    );
  } catch (cause) {
    if (cause instanceof SystemError || cause instanceof ApiError) throw cause;
    throw badRequest(
      "Failed to truncate collection (most likely due to required cascade delete record references).",
      {},
      cause,
    );
  }
  return context.noContent();
};

const importAll: Handler = async (context) => {
  const { values } = await bodyOr(context, LOAD_FAILED);
  const [given, deleteMissing] = [values["collections"] ?? [], values["deleteMissing"] ?? false];
  if (!Array.isArray(given) || typeof deleteMissing !== "boolean") throw badRequest(LOAD_FAILED);
  const collections = (given as unknown[]).map((item) => item ?? {});
  if (!isListOfObjects(collections)) throw badRequest(LOAD_FAILED);
  if (collections.length === 0) {
    throw badRequest("An error occurred while validating the submitted data.", {
      collections: { code: "validation_required", message: "Cannot be blank." },
    });
  }
  const max = limits.collectionsImportMax;
  if (collections.length > max) {
    throw badRequest("An error occurred while validating the submitted data.", {
      collections: {
        code: "validation_length_too_long",
        message: `There may be no more than ${max} collections in one import: import the others afterwards, without deleteMissing.`,
        params: { max },
      },
    });
  }
  // A query may select from what the same import brings: only what it gives today is looked at.
  const samples = await tryViewQueries(context, collections, "Failed to import collections.", () => false);
  await orRefuse("Failed to import collections.", () =>
    inTransaction(context, (tx, model) => model.importCollections(tx, collections, deleteMissing, samples)),
  );
  return context.noContent();
};

const scaffolds: Handler = (context) => {
  // A random id, so that default index names differ from one new collection to the next; shown without it.
  const id = randomText(10, ID_ALPHABET);
  const scaffold = (type: Collection["type"]): unknown => ({
    ...collectionToJson(newCollection(type, "", id)),
    id: "",
  });
  return context.json(200, { auth: scaffold("auth"), base: scaffold("base"), view: scaffold("view") });
};

/** Hidden columns, password hashes among them, are not shown. */
const SAMPLE = { hidden: false, email: true };

const dryRunView: Handler = async (context) => {
  const { values } = await bodyOr(context, LOAD_FAILED);
  const query = values["query"] ?? "";
  if (typeof query !== "string") throw badRequest(LOAD_FAILED);
  if (query === "") {
    throw badRequest("An error occurred while validating the submitted data.", {
      query: { code: "validation_required", message: "Cannot be blank." },
    });
  }
  const { fields, sample } = await tryView(context, query);
  return context.json(200, { fields, sample: sample.map((record) => recordToJson(record, SAMPLE)) });
};

/** Runs in a transaction that is always rolled back. */
async function tryView(context: PbContext, query: string): Promise<ReturnType<TenantModel["dryRunView"]>> {
  const undo = new Error("Cannot keep a dry run: it is undone");
  let result: ReturnType<TenantModel["dryRunView"]> | undefined;
  try {
    const samples = await tryViewQueries(context, [{ viewQuery: query }], "Invalid view query.", () => true);
    await inTransaction(context, (tx, model) => {
      result = model.dryRunView(tx, query, samples);
      throw undo;
    });
  } catch (error) {
    if (error === undo && result !== undefined) return result;
    if (isOwn(error)) throw error;
    throw badRequest(`Invalid view query. Raw error: \n${reasonOf(error)}`);
  }
  throw new SystemError("internal", "Cannot try the view: its transaction was not undone");
}

export const collectionRoutes: readonly FeatureRoute[] = [
  forSuperusers("GET", "", listCollections),
  forSuperusers("POST", "", create),
  forSuperusers("PUT", "/import", importAll),
  forSuperusers("GET", "/meta/scaffolds", scaffolds),
  forSuperusers("POST", "/meta/dry-run-view", dryRunView),
  forSuperusers("GET", "/:collection", view),
  forSuperusers("PATCH", "/:collection", update),
  forSuperusers("DELETE", "/:collection", remove),
  forSuperusers("DELETE", "/:collection/truncate", truncate),
];

function inTransaction<T>(
  { tenant, seen }: PbContext,
  change: (tx: WriteTransaction, model: TenantModel) => T,
): T | Promise<Awaited<T>> {
  const model = modelOf(tenant);
  return tenant.data.write(seen, (tx) => change(tx, model));
}

/** @throws ApiError 404 */
function named(schema: TenantModel["schema"], { params }: PbContext): Collection {
  const found = schema.find(params["collection"] ?? "");
  if (found === undefined) throw notThere();
  return found;
}

function isListOfObjects(value: unknown): value is Record<string, unknown>[] {
  return Array.isArray(value) && value.every((item) => isPlainObject(item));
}

function isOwn(error: unknown): boolean {
  return error instanceof ApiError || error instanceof SystemError || error instanceof UserError;
}
