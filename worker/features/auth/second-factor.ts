/** Sign-in in two steps: the first proof leaves a short-lived `_mfas` row, the second one, of another kind, consumes it. */
import { mfa } from "../../auth/options.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { badRequest } from "../../pb/api-error.ts";
import { meetsRule } from "../../pb/records/rules.ts";
import { recordScope } from "../../pb/records/scope.ts";
import type { PbContext } from "../../pb/route.ts";
import type { RequestInfo } from "../../query/contract.ts";

export type AuthMethod = "password" | "otp" | "oauth2";

/**
 * The id of a new MFA session when another factor is still to come; undefined when the record is in.
 * @throws ApiError 400 for an unknown, expired or foreign session, or the same method twice
 */
export async function requireSecondFactor(
  context: PbContext,
  info: RequestInfo,
  record: RecordData,
  method: AuthMethod,
): Promise<string | undefined> {
  const { collection } = record;
  const options = mfa(collection);
  if (!options.enabled || !wantsSecondFactor(context, info, record, options.rule)) return undefined;
  const body = await context.body();
  const given = context.query.get("mfaId") ?? "";
  const submitted = body.values["mfaId"];
  const mfaId = given !== "" ? given : typeof submitted === "string" ? submitted : "";
  return mfaId === ""
    ? openSession(context, record, method)
    : consumeSession(context, record, method, mfaId, options.durationSeconds * 1000);
}

function wantsSecondFactor(context: PbContext, info: RequestInfo, record: RecordData, rule: string): boolean {
  if (rule === "") return true;
  const model = modelOf(context.tenant);
  return context.tenant.data.read(context.seen, (db) => {
    const scope = { ...recordScope(db, model, info), isSuperuser: false };
    return meetsRule(scope, record, rule);
  });
}

async function openSession(context: PbContext, record: RecordData, method: AuthMethod): Promise<string> {
  const model = modelOf(context.tenant);
  const sessions = sessionsOf(context);
  const pending = model.bind(
    sessions,
    undefined,
    { collectionRef: record.collection.id, recordRef: record.id, method },
    new Map(),
    { allowHidden: true },
  );
  const saved = await context.tenant.data.write(context.seen, (tx) => model.save(tx, pending));
  return saved.id;
}

async function consumeSession(
  context: PbContext,
  record: RecordData,
  method: AuthMethod,
  mfaId: string,
  durationMs: number,
): Promise<undefined> {
  const model = modelOf(context.tenant);
  const sessions = sessionsOf(context);
  const refusal = await context.tenant.data.write(context.seen, (tx) => {
    const session = model.find(tx, sessions, mfaId);
    if (session === undefined) return "Invalid or expired MFA session.";
    const created = Date.parse(String(session.values["created"]).replace(" ", "T"));
    if (!(created + durationMs > Date.now())) {
      model.remove(tx, session);
      return "Invalid or expired MFA session.";
    }
    const { recordRef, collectionRef } = session.values;
    if (recordRef !== record.id || collectionRef !== record.collection.id) return "Invalid MFA session.";
    if (session.values["method"] === method) return "A different authentication method is required.";
    model.remove(tx, session);
    return undefined;
  });
  if (refusal !== undefined) throw badRequest(refusal);
  return undefined;
}

function sessionsOf(context: PbContext) {
  const found = modelOf(context.tenant).schema.find("_mfas");
  if (found === undefined) throw badRequest("", undefined, "the tenant has no _mfas collection");
  return found;
}
