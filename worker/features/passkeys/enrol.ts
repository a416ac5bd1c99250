/** What a signed-in record does with its own passkeys. */
import { generateRegistrationOptions } from "@simplewebauthn/server";
import { limits } from "../../../shared/limits.ts";
import { currentRecord } from "../../auth/current-record.ts";
import { newAuthToken } from "../../auth/tokens.ts";
import type { RecordData } from "../../model/contract.ts";
import { characterCount, toText } from "../../model/fields/cast.ts";
import { modelOf } from "../../model/model.ts";
import { forbidden, notFound } from "../../pb/api-error.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import { BLANK, failForm, formBody, formText, lengthError } from "../../pb/form-body.ts";
import { submittedMfaId } from "../../pb/mfa-session.ts";
import type { PbContext } from "../../pb/route.ts";
import { settingsGroup, settingsOf } from "../../pb/settings.ts";
import type { SignIn } from "../../pb/sign-in.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { invalidChallenge, issueChallenge, readChallenge, useChallenge } from "./challenge.ts";
import {
  type Passkey,
  addPasskey,
  findPasskey,
  passkeysOf,
  publicPasskey,
  userHandle,
} from "./credential.ts";
import { relyingParty } from "./relying-party.ts";
import { ALGORITHMS, verifyRegistration } from "./verify.ts";

const NAME = "Passkey";
const TRANSPORTS = new Set(["usb", "nfc", "ble", "smart-card", "hybrid", "internal", "cable"]);

/** `POST …/passkeys/register-options`: `{mfaId?}` → `{options, challengeId}` for `navigator.credentials.create`. */
export async function registerOptions(signIn: SignIn, context: PbContext): Promise<Response> {
  const { record } = await enrolling(signIn, context);
  const { tenant, seen } = context;
  const { collection } = record;
  const { rpId, userVerification } = relyingParty(context, collection);
  const known = tenant.data.read(seen, (db) => passkeysOf(db, record));
  const { challenge, challengeId } = issueChallenge("create", collection, rpId, { record });
  const label = toText(record.values["email"]) || record.id;
  const options = await generateRegistrationOptions({
    rpName: toText(settingsGroup(settingsOf(tenant, seen), "meta")["appName"]) || rpId,
    rpID: rpId,
    userName: label,
    userDisplayName: toText(record.values["name"]) || label,
    userID: userHandle(record),
    challenge,
    timeout: limits.passkeyChallengeMs,
    attestationType: "none",
    supportedAlgorithmIDs: ALGORITHMS,
    // Only passkeys that the device finds by itself: no list of them ever has to be shown to somebody who is not signed in.
    authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification },
    excludeCredentials: known.map(({ credentialId, transports }) => ({ id: credentialId, transports })),
  });
  return context.json(200, { options, challengeId });
}

/**
 * `POST …/passkeys`: `{challengeId, response, name?}` → the passkey. With the `mfaId` of a sign-in that waits for it, the passkey
 * ends that, too: `{record, token, meta: {passkey}}`.
 */
export async function registerPasskey(signIn: SignIn, context: PbContext): Promise<Response> {
  const { record, isSigningIn } = await enrolling(signIn, context);
  const party = relyingParty(context, record.collection);
  const body = await formBody(context);
  const challengeId = formText(context, body, "challengeId");
  const name = formText(context, body, "name") || NAME;
  const { response } = body.values;
  failForm({ challengeId: challengeId === "" ? BLANK : undefined, name: nameError(name) });
  const challenge = readChallenge("create", record.collection, challengeId, record);
  const info = await verifyRegistration(party, challenge, response);
  const passkey = await context.tenant.data.write(context.seen, (tx) => {
    if (currentRecord(context.tenant, tx, record) === undefined) throw invalidChallenge();
    useChallenge(tx, challenge);
    return addPasskey(tx, record, {
      credentialId: info.credential.id,
      publicKey: info.credential.publicKey,
      counter: info.credential.counter,
      rpId: challenge.rpId,
      transports: (info.credential.transports ?? []).filter((one) => TRANSPORTS.has(one)),
      deviceType: info.credentialDeviceType,
      backedUp: info.credentialBackedUp,
      name,
    });
  });
  const shown = publicPasskey(passkey);
  if (!isSigningIn) return context.json(200, shown);
  const token = newAuthToken(record);
  return signIn.answer(context, { record, token, method: "passkey", meta: { passkey: shown } });
}

/** `GET …/passkeys`: own ones; superusers name whose by `?record=`. */
export function listPasskeys(context: PbContext): Response {
  const record = ownRecord(context);
  const passkeys = context.tenant.data.read(context.seen, (db) => passkeysOf(db, record));
  return context.json(200, passkeys.map(publicPasskey));
}

/** `PATCH …/passkeys/{id}`: `{name}` */
export async function renamePasskey(context: PbContext): Promise<Response> {
  const name = formText(context, await formBody(context), "name");
  failForm({ name: name === "" ? BLANK : nameError(name) });
  const renamed = await change(context, (tx, passkey) => {
    tx.run("UPDATE `_mb_passkeys` SET name = ? WHERE id = ?", [name, passkey.id]);
    return { ...passkey, name };
  });
  return context.json(200, publicPasskey(renamed));
}

/** `DELETE …/passkeys/{id}`: of the record itself, or by a superuser for who has lost the device. */
export async function removePasskey(context: PbContext): Promise<Response> {
  await change(context, (tx, passkey) => {
    tx.run("DELETE FROM `_mb_passkeys` WHERE id = ?", [passkey.id]);
    return passkey;
  });
  return context.noContent();
}

/** @throws ApiError 404 also for those of others */
async function change(
  context: PbContext,
  work: (tx: WriteTransaction, passkey: Passkey) => Passkey,
): Promise<Passkey> {
  const collection = findAuthCollection(context);
  const auth = context.requireAuth();
  return context.tenant.data.write(context.seen, (tx) => {
    const passkey = findPasskey(tx, collection, { id: context.params["id"] ?? "" });
    const isOwn = auth.collection.id === collection.id && passkey?.recordRef === auth.record.id;
    if (passkey === undefined || !(isOwn || auth.isSuperuser)) throw notFound();
    return work(tx, passkey);
  });
}

/** Who cannot sign in before they have enrolled, even where a client still sends the token of somebody else; or who is signed in. */
async function enrolling(
  signIn: SignIn,
  context: PbContext,
): Promise<{ record: RecordData; isSigningIn: boolean }> {
  const mfaId = await submittedMfaId(context);
  if (mfaId !== "") {
    return { record: signIn.enrolling(context, findAuthCollection(context), mfaId), isSigningIn: true };
  }
  return { record: ownRecord(context), isSigningIn: false };
}

function ownRecord(context: PbContext): RecordData {
  const auth = context.requireAuth();
  const collection = findAuthCollection(context);
  const other = context.query.get("record") ?? "";
  if (auth.isSuperuser && context.request.method === "GET" && other !== "") {
    const found = context.tenant.data.read(context.seen, (db) =>
      modelOf(context.tenant).find(db, collection, other),
    );
    if (found === undefined) throw notFound();
    return found;
  }
  if (collection.id !== auth.collection.id) {
    throw forbidden(`The request requires auth record from ${auth.collection.name} collection.`);
  }
  return auth.record;
}

function nameError(name: string) {
  return lengthError(name, 1, limits.passkeyNameCharactersMax, characterCount(name));
}
