/** `POST …/auth-with-totp`: `{mfaId, code}`, the second step of a sign-in; the code is the app's or a backup code. */
import { limits } from "../../../shared/limits.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { mfa } from "../../auth/options.ts";
import { newAuthToken } from "../../auth/tokens.ts";
import type { RecordData } from "../../model/contract.ts";
import { toText } from "../../model/fields/cast.ts";
import { modelOf } from "../../model/model.ts";
import { badRequest, forbidden } from "../../pb/api-error.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import { BLANK, failForm, formBody, formText } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import { countTry, takeCode } from "./check-code.ts";
import { findTotp } from "./credential.ts";
import { policyOf } from "./policy.ts";

export type AnswerAuth = (
  context: PbContext,
  answer: { record: RecordData; token: string },
) => Promise<Response>;

export async function withTotp(answerAuth: AnswerAuth, context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  const { tenant, seen } = context;
  const { totp } = tenant.data.read(seen, (db) => policyOf(db, collection));
  if (!totp.enabled) throw forbidden("The collection is not configured to allow TOTP authentication.");
  const body = await formBody(context);
  const mfaId = formText(context, body, "mfaId");
  const code = formText(context, body, "code");
  failForm({ mfaId: mfaId === "" ? BLANK : undefined, code: code === "" ? BLANK : undefined });
  const waiting = tenant.data.read(seen, (db) => findSession(context, db, collection, mfaId));
  countTry(tenant, waiting.record);
  const record = await tenant.data.write(seen, (tx) => {
    const { session, record } = findSession(context, tx, collection, mfaId);
    const credential = findTotp(tx, record);
    if (credential?.isConfirmed !== true) throw badRequest("TOTP is not enabled.");
    takeCode(tx, record, credential, code);
    modelOf(tenant).remove(tx, session);
    return record;
  });
  return answerAuth(context, { record, token: newAuthToken(record) });
}

/** @throws ApiError 400 */
function findSession(
  { tenant }: PbContext,
  db: SqlReader,
  collection: Collection,
  mfaId: string,
): { session: RecordData; record: RecordData } {
  const model = modelOf(tenant);
  const sessions = model.schema.find("_mfas");
  const session = sessions && model.find(db, sessions, mfaId);
  const record =
    session?.values["collectionRef"] === collection.id
      ? model.find(db, collection, toText(session.values["recordRef"]))
      : undefined;
  if (session === undefined || record === undefined) throw badRequest("Invalid or expired MFA session.");
  const createdMs = Date.parse(toText(session.values["created"]).replace(" ", "T"));
  const durationMs = (mfa(collection).durationSeconds || limits.mfaSecondsDefault) * 1000;
  if (!(createdMs + durationMs > Date.now())) throw badRequest("Invalid or expired MFA session.");
  return { session, record };
}
