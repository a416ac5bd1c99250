/** Sign-in in two steps: the first proof leaves a short-lived `_mfas` row, the second one, of another kind, consumes it. */
import type { Collection } from "../../shared/schema/collection.ts";
import { mfaSessionSeconds } from "../auth/options.ts";
import type { RecordData } from "../model/contract.ts";
import { toText } from "../model/fields/cast.ts";
import { modelOf } from "../model/model.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import { badRequest } from "./api-error.ts";
import { formBody, formText } from "./form-body.ts";
import type { PbContext } from "./route.ts";
import type { AuthMethod } from "./sign-in.ts";

export const INVALID_SESSION = "Invalid or expired MFA session.";

/** The session that the query or the body names; empty when neither does. */
export async function submittedMfaId(context: PbContext): Promise<string> {
  const given = context.query.get("mfaId") ?? "";
  if (given !== "") return given;
  try {
    return formText(context, await formBody(context), "mfaId");
  } catch (cause) {
    throw badRequest("Failed to read MFA Id", undefined, cause);
  }
}

export async function openSession(
  context: PbContext,
  record: RecordData,
  method: AuthMethod,
): Promise<string> {
  const model = modelOf(context.tenant);
  const values = { collectionRef: record.collection.id, recordRef: record.id, method };
  const pending = model.bind(sessionsOf(context), undefined, values, new Map(), { allowHidden: true });
  return (await context.tenant.data.write(context.seen, (tx) => model.save(tx, pending))).id;
}

/**
 * A live session of this collection and who opened it. The session stays.
 * @throws ApiError 400
 */
export function findSession(
  context: PbContext,
  db: SqlReader,
  collection: Collection,
  mfaId: string,
): { session: RecordData; record: RecordData } {
  const model = modelOf(context.tenant);
  const session = model.find(db, sessionsOf(context), mfaId);
  const record =
    session?.values["collectionRef"] === collection.id
      ? model.find(db, collection, toText(session.values["recordRef"]))
      : undefined;
  if (session === undefined || record === undefined || isExpired(session, collection)) {
    throw badRequest(INVALID_SESSION);
  }
  return { session, record };
}

/**
 * Ends a session whose first step, with `method` as the other one, is enough. False when it is not: the session waits on.
 * @throws ApiError 400 for an unknown, expired or foreign session, or the same method twice
 */
export async function consumeSession(
  context: PbContext,
  record: RecordData,
  method: AuthMethod,
  mfaId: string,
  isEnough: (first: string) => boolean,
): Promise<boolean> {
  const model = modelOf(context.tenant);
  const sessions = sessionsOf(context);
  const outcome = await context.tenant.data.write(context.seen, (tx) => {
    const session = model.find(tx, sessions, mfaId);
    if (session === undefined) return INVALID_SESSION;
    if (isExpired(session, record.collection)) {
      model.remove(tx, session);
      return INVALID_SESSION;
    }
    const { recordRef, collectionRef } = session.values;
    if (recordRef !== record.id || collectionRef !== record.collection.id) return "Invalid MFA session.";
    const first = toText(session.values["method"]);
    if (first === method) return "A different authentication method is required.";
    if (!isEnough(first)) return false;
    model.remove(tx, session);
    return true;
  });
  if (typeof outcome === "string") throw badRequest(outcome);
  return outcome;
}

function isExpired(session: RecordData, collection: Collection): boolean {
  const createdMs = Date.parse(toText(session.values["created"]).replace(" ", "T"));
  return !(createdMs + mfaSessionSeconds(collection) * 1000 > Date.now());
}

function sessionsOf(context: PbContext): Collection {
  const found = modelOf(context.tenant).schema.find("_mfas");
  if (found === undefined) throw badRequest("", undefined, "the tenant has no _mfas collection");
  return found;
}
