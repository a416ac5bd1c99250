/** `/api/collections/{collection}/records`: list, view, create, update, delete. */
import { modelOf } from "../../model/model.ts";
import { jsonRowsOf } from "../../model/records/json-row.ts";
import { forbidden, notThere } from "../../pb/api-error.ts";
import { findCollection, findNamedCollection, findWritableCollection } from "../../pb/find-collection.ts";
import { enrichRecord, enrichRecords } from "../../pb/records/enrich.ts";
import { listRecords } from "../../pb/records/list.ts";
import { findUnderRule } from "../../pb/records/rules.ts";
import { once } from "../../pb/records/once.ts";
import { type RecordScope, recordScope } from "../../pb/records/scope.ts";
import {
  type PreparedWrite,
  prepareCreate,
  prepareDelete,
  prepareUpdate,
  remove,
} from "../../pb/records/write.ts";
import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { readWeighed, writeWeighed } from "../../statements/weighed-work.ts";
import { bodyLimitOf } from "./body-limit.ts";
import { listThrottle } from "./list-throttle.ts";
import { runWrite } from "./run-write.ts";

const LOCKED = "Only superusers can perform this action.";
const COLLECTION = "/api/collections/:collection/records";

export const recordRoutes: readonly FeatureRoute[] = [
  { method: "GET", path: COLLECTION, actions: ["list"], handle: list },
  { method: "GET", path: `${COLLECTION}/:id`, actions: ["view"], handle: view },
  { method: "POST", path: COLLECTION, actions: ["create"], handle: create },
  { method: "PATCH", path: `${COLLECTION}/:id`, actions: ["update"], handle: update },
  { method: "DELETE", path: `${COLLECTION}/:id`, actions: ["delete"], handle: destroy },
];

function list(context: PbContext): Response | Promise<Response> {
  const collection = findCollection(context);
  const model = modelOf(context.tenant);
  const answer = readWeighed(context.tenant, context.seen, (db) => {
    const scope = recordScope(db, model, context.info);
    if (collection.listRule === null && !scope.isSuperuser) throw forbidden(LOCKED);
    const expand = context.parameters["expand"];
    const asJson = expand ? undefined : jsonRowsOf(collection, scope.isSuperuser);
    const { records, items, page, perPage, totalItems, totalPages } = listRecords(
      scope,
      collection,
      context,
      asJson,
    );
    return { items: items ?? enrichRecords(scope, records, expand), page, perPage, totalItems, totalPages };
  });
  return answer instanceof Promise
    ? answer.then((found) => answerList(context, collection, found))
    : answerList(context, collection, answer);
}

function answerList(
  context: PbContext,
  collection: Collection,
  answer: { items: readonly unknown[] },
): Response | Promise<Response> {
  const isProbe =
    answer.items.length === 0 &&
    context.auth?.isSuperuser !== true &&
    (collection.listRule ?? "") !== "" &&
    (context.parameters["filter"] ?? "") !== "";
  const waitMs = isProbe
    ? context.tenant.slot(listThrottle).delayMs(context.clientIp, collection.id, Date.now())
    : 0;
  const response = context.json(200, answer);
  return waitMs === 0 ? response : Bun.sleep(waitMs).then(() => response);
}

function view(context: PbContext): Response | Promise<Response> {
  const collection = findCollection(context);
  const { tenant, seen } = context;
  const model = modelOf(tenant);
  const id = context.params["id"] ?? "";
  const expand = context.parameters["expand"];
  const isSuperuser = context.auth?.isSuperuser === true;
  if (collection.viewRule === null && !isSuperuser) throw forbidden(LOCKED);
  const asJson = expand ? undefined : jsonRowsOf(collection, isSuperuser);
  const asksNothing = isSuperuser || collection.viewRule === "";
  if (asJson !== undefined && asksNothing && collection.type !== "view") {
    // By a table's key: nothing to weigh.
    const row = tenant.data.read(seen, (db) => db.get(asJson.byId, [id]));
    if (row === undefined) throw notThere();
    return context.json(200, asJson.complete(row));
  }
  const json = readWeighed(tenant, seen, (db): unknown => {
    const scope = recordScope(db, model, context.info);
    if (asJson !== undefined && asksNothing) {
      const row = scope.db.get(asJson.byId, [id]);
      if (row === undefined) throw notThere();
      return asJson.complete(row);
    }
    const record = findUnderRule(scope, collection, id, collection.viewRule);
    if (record === undefined) throw notThere();
    return enrichRecord(scope, record, expand);
  });
  return json instanceof Promise ? json.then((found) => context.json(200, found)) : context.json(200, json);
}

async function create(context: PbContext): Promise<Response> {
  findNamedCollection(context);
  const collection = findWritableCollection(context);
  const body = await context.body(bodyLimitOf(collection));
  const prepare = (scope: RecordScope): PreparedWrite => prepareCreate(scope, collection, body);
  // What others create in the same turn changes nothing that this one has seen; an update or a deletion might.
  return context.json(200, await runWrite(context, prepare, body, "writeTogether"));
}

async function update(context: PbContext): Promise<Response> {
  findNamedCollection(context);
  const collection = findWritableCollection(context);
  const body = await context.body(bodyLimitOf(collection));
  const id = context.params["id"] ?? "";
  return context.json(
    200,
    await runWrite(context, (scope) => prepareUpdate(scope, collection, id, body), body),
  );
}

async function destroy(context: PbContext): Promise<Response> {
  const collection = findWritableCollection(context);
  const model = modelOf(context.tenant);
  const answers = once<null>(context, await context.body());
  const { tenant, seen, info } = context;
  await writeWeighed(
    tenant,
    seen,
    (db) =>
      answers.find(db) === undefined
        ? prepareDelete(recordScope(db, model, info), collection, context.params["id"] ?? "")
        : undefined,
    (tx, record) => {
      if (record === undefined) return;
      remove(recordScope(tx, model, info), tx, record);
      answers.keep(tx, null);
    },
  );
  return context.noContent();
}
