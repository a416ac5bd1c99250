/** `POST …/auth-with-totp`: `{mfaId, code}`, the second step of a sign-in; the code is the app's or a backup code. */
import { policyOf } from "../../auth/policy.ts";
import { newAuthToken } from "../../auth/tokens.ts";
import { badRequest, forbidden } from "../../pb/api-error.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import { BLANK, failForm, formBody, formText } from "../../pb/form-body.ts";
import { findSession, submittedMfaId } from "../../pb/mfa-session.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SignIn } from "../../pb/sign-in.ts";
import { countTry, takeCode } from "./check-code.ts";
import { findTotp } from "./credential.ts";

export async function withTotp(signIn: SignIn, context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  const { tenant, seen } = context;
  const { totp } = tenant.data.read(seen, (db) => policyOf(db, collection));
  if (!totp.enabled) throw forbidden("The collection is not configured to allow TOTP authentication.");
  const code = formText(context, await formBody(context), "code");
  const mfaId = await submittedMfaId(context);
  failForm({ mfaId: mfaId === "" ? BLANK : undefined, code: code === "" ? BLANK : undefined });
  const waiting = tenant.data.read(seen, (db) => findSession(context, db, collection, mfaId));
  countTry(tenant, waiting.record);
  const record = await tenant.data.write(seen, (tx) => {
    const { record } = findSession(context, tx, collection, mfaId);
    const credential = findTotp(tx, record);
    if (credential?.isConfirmed !== true) throw badRequest("TOTP is not enabled.");
    takeCode(tx, record, credential, code);
    return record;
  });
  return signIn.answer(context, { record, token: newAuthToken(record), method: "totp" });
}
