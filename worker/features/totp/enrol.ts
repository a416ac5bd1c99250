/** What a signed-in record does with its own authenticator. */
import { renderSVG } from "uqr";
import type { RecordData } from "../../model/contract.ts";
import { currentRecord } from "../../auth/current-record.ts";
import { policyOf } from "../../auth/policy.ts";
import { newAuthToken } from "../../auth/tokens.ts";
import { modelOf } from "../../model/model.ts";
import { toText } from "../../model/fields/cast.ts";
import { badRequest, forbidden, notFound, unauthorized } from "../../pb/api-error.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import { BLANK, failForm, formBody, formText } from "../../pb/form-body.ts";
import { submittedMfaId } from "../../pb/mfa-session.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SignIn } from "../../pb/sign-in.ts";
import { settingsGroup, settingsOf } from "../../pb/settings.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { countTry, takeCode, wrongCode } from "./check-code.ts";
import { backupCodesLeft, findTotp, renewBackupCodes, startTotp, takeTotp, totpUri } from "./credential.ts";
import { forgetCredentials } from "./tables.ts";

/** `GET …/totp`: `{enabled, backupCodes}`, the latter how many are left. */
export function showTotp(context: PbContext): Response {
  const record = ownRecord(context);
  const shown = context.tenant.data.read(context.seen, (db) => ({
    enabled: findTotp(db, record)?.isConfirmed === true,
    backupCodes: backupCodesLeft(db, record),
  }));
  return context.json(200, shown);
}

/** `POST …/request-totp`: `{mfaId?}` → `{secret, uri, qr}` (an SVG); nothing changes until the first code confirms it. */
export async function requestTotp(signIn: SignIn, context: PbContext): Promise<Response> {
  const { record } = await enrolling(signIn, context);
  const { tenant, seen } = context;
  const { secret, issuer } = await tenant.data.write(seen, (tx) => {
    if (currentRecord(tenant, tx, record) === undefined) throw unauthorized();
    const { totp } = policyOf(tx, record.collection);
    if (!totp.enabled) throw forbidden("The collection is not configured to allow TOTP authentication.");
    if (findTotp(tx, record)?.isConfirmed === true) throw badRequest("TOTP is already enabled.");
    return { secret: startTotp(tx, record), issuer: totp.issuer };
  });
  const appName = toText(settingsGroup(settingsOf(tenant, seen), "meta")["appName"]);
  const label = toText(record.values["email"]) || record.id;
  const uri = totpUri(secret, (issuer || appName).replaceAll(":", " "), label);
  return context.json(200, { secret, uri, qr: renderSVG(uri) });
}

/**
 * `POST …/confirm-totp`: `{code}` → `{backupCodes}`; from now on sign-in asks for a code. With the `mfaId` of a sign-in that
 * waits for it, the code ends that, too: `{record, token, meta: {backupCodes}}`.
 */
export async function confirmTotp(signIn: SignIn, context: PbContext): Promise<Response> {
  const { record, isSigningIn } = await enrolling(signIn, context);
  const code = await submittedCode(context);
  const { tenant } = context;
  countTry(tenant, record);
  const backupCodes = await tenant.data.write(context.seen, (tx) => {
    if (currentRecord(tenant, tx, record) === undefined) throw unauthorized();
    const credential = findTotp(tx, record);
    if (credential === undefined) throw badRequest("TOTP was not requested.");
    if (credential.isConfirmed) throw badRequest("TOTP is already enabled.");
    if (!takeTotp(tx, record, credential, code, Date.now())) throw wrongCode();
    return renewBackupCodes(tx, record);
  });
  if (!isSigningIn) return context.json(200, { backupCodes });
  const token = newAuthToken(record);
  return signIn.answer(context, { record, token, method: "totp", meta: { backupCodes } });
}

/** `POST …/renew-backup-codes`: `{code}` → `{backupCodes}` */
export async function renewCodes(context: PbContext): Promise<Response> {
  const backupCodes = await withCode(context, renewBackupCodes);
  return context.json(200, { backupCodes });
}

/** `POST …/remove-totp`: `{code}`, of the app or a backup code. */
export async function removeTotp(context: PbContext): Promise<Response> {
  await withCode(context, (tx, { collection, id }) => forgetCredentials(tx, collection.id, id));
  return context.noContent();
}

/** `DELETE …/totp/{id}`: for superusers, when somebody has lost both app and codes. */
export async function resetTotp(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const collection = findAuthCollection(context);
  await context.tenant.data.write(context.seen, (tx) => {
    const record = modelOf(context.tenant).find(tx, collection, context.params["id"] ?? "");
    if (record === undefined || findTotp(tx, record) === undefined) throw notFound();
    forgetCredentials(tx, collection.id, record.id);
  });
  return context.noContent();
}

async function withCode<T>(
  context: PbContext,
  then: (tx: WriteTransaction, record: RecordData) => T,
): Promise<T> {
  const record = ownRecord(context);
  const code = await submittedCode(context);
  countTry(context.tenant, record);
  return (await context.tenant.data.write(context.seen, (tx) => {
    const credential = findTotp(tx, record);
    if (credential?.isConfirmed !== true) throw badRequest("TOTP is not enabled.");
    takeCode(tx, record, credential, code);
    return then(tx, record);
  })) as T;
}

async function submittedCode(context: PbContext): Promise<string> {
  const code = formText(context, await formBody(context), "code");
  failForm({ code: code === "" ? BLANK : undefined });
  return code;
}

/** Who cannot sign in before they have enrolled, even where a client still sends the token of somebody else; or who is signed in. */
async function enrolling(
  signIn: SignIn,
  context: PbContext,
): Promise<{ record: RecordData; isSigningIn: boolean }> {
  const mfaId = await submittedMfaId(context);
  if (mfaId === "") return { record: ownRecord(context), isSigningIn: false };
  return { record: signIn.enrolling(context, findAuthCollection(context), mfaId), isSigningIn: true };
}

function ownRecord(context: PbContext): RecordData {
  const { record, collection } = context.requireAuth();
  if (findAuthCollection(context).id !== collection.id) {
    throw forbidden(`The request requires auth record from ${collection.name} collection.`);
  }
  return record;
}
