/** Sign-in by a passkey, as the first or the second step. */
import { generateAuthenticationOptions } from "@simplewebauthn/server";
import { limits } from "../../../shared/limits.ts";
import { passwordAuth } from "../../auth/options.ts";
import { newAuthToken } from "../../auth/tokens.ts";
import type { RecordData } from "../../model/contract.ts";
import { toText } from "../../model/fields/cast.ts";
import { modelOf } from "../../model/model.ts";
import { badRequest } from "../../pb/api-error.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import { BLANK, failForm, formBody, formText, lengthError } from "../../pb/form-body.ts";
import { findSession, submittedMfaId } from "../../pb/mfa-session.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SignIn } from "../../pb/sign-in.ts";
import { issueChallenge, readChallenge, useChallenge } from "./challenge.ts";
import { findPasskey, noteUse, passkeysOf, userHandle } from "./credential.ts";
import { relyingParty } from "./relying-party.ts";
import { verifyAuthentication } from "./verify.ts";

const IDENTITY_CHARACTERS_MAX = 255;

/**
 * `POST …/auth-with-passkey-options`: `{identity?, mfaId?}` → `{options, challengeId}` for `navigator.credentials.get`.
 * An identity is not looked up here but compared afterwards, so the answer cannot tell whether it exists. The passkeys of a record
 * are named only to who has taken the first step as it.
 */
export async function passkeyOptions(context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  const { tenant, seen } = context;
  const { rpId, userVerification } = relyingParty(context, collection);
  const identity = formText(context, await formBody(context), "identity");
  failForm({ identity: lengthError(identity, 0, IDENTITY_CHARACTERS_MAX) });
  const mfaId = await submittedMfaId(context);
  const known =
    mfaId === ""
      ? undefined
      : tenant.data.read(seen, (db) => passkeysOf(db, findSession(context, db, collection, mfaId).record));
  const { challenge, challengeId } = issueChallenge("get", collection, rpId, { identity });
  const options = await generateAuthenticationOptions({
    rpID: rpId,
    challenge,
    timeout: limits.passkeyChallengeMs,
    userVerification,
    ...(known === undefined
      ? {}
      : {
          allowCredentials: known.map(({ credentialId, transports }) => ({ id: credentialId, transports })),
        }),
  });
  return context.json(200, { options, challengeId });
}

/** `POST …/auth-with-passkey`: `{challengeId, response, mfaId?}`. */
export async function withPasskey(signIn: SignIn, context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  const { tenant, seen } = context;
  const party = relyingParty(context, collection);
  const body = await formBody(context);
  const challengeId = formText(context, body, "challengeId");
  failForm({ challengeId: challengeId === "" ? BLANK : undefined });
  const challenge = readChallenge("get", collection, challengeId);
  const { response } = body.values;
  const credentialId = toText((response as { id?: unknown } | undefined | null)?.id);
  const passkey = tenant.data.read(seen, (db) => findPasskey(db, collection, { credentialId }));
  const info =
    passkey === undefined ? undefined : await verifyAuthentication(party, challenge, passkey, response);
  if (info === undefined) throw failed();
  const record = await tenant.data.write(seen, (tx) => {
    useChallenge(tx, challenge);
    const current = findPasskey(tx, collection, { credentialId });
    const use = { counter: info.newCounter, backedUp: info.credentialBackedUp };
    if (current === undefined || !noteUse(tx, current, use)) return undefined;
    const found = modelOf(tenant).find(tx, collection, current.recordRef);
    return found !== undefined && isMeant(found, challenge.identity, response) ? found : undefined;
  });
  if (record === undefined) throw failed();
  return signIn.answer(context, {
    record,
    token: newAuthToken(record),
    method: "passkey",
    isMultiFactor: party.multiFactor && info.userVerified,
  });
}

/** The record that was asked for, if one was, and the account that the authenticator knows the passkey by. */
function isMeant(record: RecordData, identity: string, response: unknown): boolean {
  const handle = (response as { response?: { userHandle?: unknown } }).response?.userHandle;
  if (typeof handle === "string" && handle !== Buffer.from(userHandle(record)).toString("base64url")) {
    return false;
  }
  if (identity === "") return true;
  const { identityFields } = passwordAuth(record.collection);
  return ["email", ...identityFields].some(
    (name) => toText(record.values[name]).toLowerCase() === identity.toLowerCase(),
  );
}

function failed() {
  return badRequest("Failed to authenticate.");
}
