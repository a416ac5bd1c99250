/** `GET /api/files/{collection}/{record}/{file}`: an upload or its thumb, protected ones under the view rule. */
import { storageKey } from "../../../shared/objects/layout.ts";
import type { Collection, Field } from "../../../shared/schema/collection.ts";
import { findTokenOwner } from "../../auth/tokens.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { Reason, notFound, notThere } from "../../pb/api-error.ts";
import { findNamedCollection } from "../../pb/find-collection.ts";
import { requestAuth } from "../../pb/request-info.ts";
import { meetsRule } from "../../pb/records/rules.ts";
import { recordScope } from "../../pb/records/scope.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import { serveObject } from "./serve.ts";
import { thumbOf } from "./thumb.ts";
import { findViewFileOwner } from "./view-file.ts";

interface Located {
  /** Where the file lies: for a view, at the record that it comes from. */
  owner: { collectionId: string; recordId: string };
  field: Field;
}

export async function download(context: PbContext): Promise<Response> {
  const { tenant, params, query } = context;
  const name = params["file"] ?? "";
  const { owner, field } = tenant.data.read(context.seen, (db) => locate(context, db, name));
  const key = storageKey(tenant.id, owner.collectionId, owner.recordId, name);
  const thumb = await thumbOf(
    tenant.objects,
    key,
    name,
    query.get("thumb") ?? "",
    field,
    context.request.signal,
  );
  return serveObject(context, tenant.objects, thumb ?? { key, name });
}

/** @throws ApiError 404, also for a protected file that the token's owner may not view */
function locate(context: PbContext, db: SqlReader, name: string): Located {
  const model = modelOf(context.tenant);
  const collection = findNamedCollection(context);
  const record = model.find(db, collection, context.params["record"] ?? "");
  const field = record && fieldOfFile(record, name);
  if (record === undefined || field === undefined) throw notThere();
  if (field["protected"] === true && !mayView(context, db, record))
    throw notFound("", new Reason("insufficient permissions to access the file resource"));
  if (collection.type !== "view")
    return { owner: { collectionId: collection.id, recordId: record.id }, field };
  const owner = findViewFileOwner(model.schema, db, collection, name);
  if (owner === undefined) throw notFound();
  return { owner, field };
}

function fieldOfFile({ collection, values }: RecordData, name: string): Field | undefined {
  return collection.fields.find((field) => {
    const value = values[field.name];
    return (
      field.type === "file" && (Array.isArray(value) ? value.includes(name) : value === name && name !== "")
    );
  });
}

function mayView(context: PbContext, db: SqlReader, record: RecordData): boolean {
  const model = modelOf(context.tenant);
  const find = (collection: Collection, id: string) => model.find(db, collection, id);
  const owner = findTokenOwner(context.query.get("token") ?? "", ["file"], model.schema, find);
  const info = {
    ...context.info,
    context: "protectedFile" as const,
    auth: owner === undefined ? null : requestAuth(owner),
  };
  return meetsRule(recordScope(db, model, info), record, record.collection.viewRule);
}
