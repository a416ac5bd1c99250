/** Sign-in of records that have an authenticator: whatever they prove first, a code comes after it. */
import { limits } from "../../../shared/limits.ts";
import { mfa } from "../../auth/options.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { badRequest } from "../../pb/api-error.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import { findTotp } from "./credential.ts";
import { policyOf } from "./policy.ts";

const SIGN_IN = /\/auth-with-(\w+)$/;

/**
 * The same routes. The ways to sign in among them answer 401 with an `mfaId`, as PocketBase's own second step does, when a
 * code is still to come; the list of auth methods tells that there are codes.
 */
export function withTotpRequired(routes: readonly FeatureRoute[]): FeatureRoute[] {
  return routes.map((route) => {
    const method = SIGN_IN.exec(route.path)?.[1];
    if (method !== undefined) return { ...route, handle: (context) => askForCode(context, route, method) };
    if (!route.path.endsWith("/auth-methods")) return route;
    return { ...route, handle: (context) => offerTotp(context, route) };
  });
}

async function askForCode(context: PbContext, route: FeatureRoute, method: string): Promise<Response> {
  let answer: unknown;
  const json = context.json.bind(context);
  context.json = (status, value) => {
    answer = status === 200 ? value : undefined;
    return json(status, value);
  };
  const response = await route.handle(context);
  const record = response.status === 200 ? recordOf(context, answer) : undefined;
  if (record === undefined) return response;
  const isAsked = context.tenant.data.read(
    context.seen,
    (db) => policyOf(db, record.collection).totp.enabled && findTotp(db, record)?.isConfirmed === true,
  );
  if (!isAsked) return response;
  await response.body?.cancel();
  return context.json(401, { mfaId: await openSession(context, record, method) });
}

function recordOf({ tenant, seen }: PbContext, answer: unknown): RecordData | undefined {
  const { id, collectionId } = (answer as { record?: Record<string, unknown> } | undefined)?.record ?? {};
  const model = modelOf(tenant);
  const collection = typeof collectionId === "string" ? model.schema.find(collectionId) : undefined;
  if (collection === undefined || typeof id !== "string") throw badRequest();
  return tenant.data.read(seen, (db) => model.find(db, collection, id));
}

async function openSession({ tenant, seen }: PbContext, record: RecordData, method: string): Promise<string> {
  const model = modelOf(tenant);
  const sessions = model.schema.find("_mfas");
  if (sessions === undefined) throw badRequest();
  const values = { collectionRef: record.collection.id, recordRef: record.id, method };
  const pending = model.bind(sessions, undefined, values, new Map(), { allowHidden: true });
  return (await tenant.data.write(seen, (tx) => model.save(tx, pending))).id;
}

function offerTotp(context: PbContext, route: FeatureRoute): Response | Promise<Response> {
  const collection = findAuthCollection(context);
  const { totp } = context.tenant.data.read(context.seen, (db) => policyOf(db, collection));
  if (totp.enabled) {
    const duration = mfa(collection).durationSeconds || limits.mfaSecondsDefault;
    const json = context.json.bind(context);
    context.json = (status, value) =>
      json(status, { ...(value as Record<string, unknown>), totp: { enabled: true, duration } });
  }
  return route.handle(context);
}
