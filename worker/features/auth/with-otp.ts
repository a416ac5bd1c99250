/** `POST …/auth-with-otp`: `{otpId, password}`, a password that was sent and works once. */
import { limits } from "../../../shared/limits.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { mfa, otp } from "../../auth/options.ts";
import { newAuthToken } from "../../auth/tokens.ts";
import type { RecordData } from "../../model/contract.ts";
import { toText } from "../../model/fields/cast.ts";
import { modelOf } from "../../model/model.ts";
import { unknownPassword, verifyPassword } from "../../model/records/passwords.ts";
import { badRequest, forbidden, tooManyRequests } from "../../pb/api-error.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import type { FixedWindows } from "../../pb/fixed-windows.ts";
import { BLANK, failForm, formBody, formText, lengthError } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SignIn } from "../../pb/sign-in.ts";
import { carriedWindows } from "../../state/carried-windows.ts";
import type { Tenant } from "../../tenant/contract.ts";

const INVALID = "Invalid or expired OTP";
/** Tenant slot: tries by record and client. */
const otpTries = { create: (tenant: Tenant): FixedWindows => carriedWindows(tenant, "otp-tries") };

export async function withOtp(signIn: SignIn, context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  const { enabled, durationSeconds } = otp(collection);
  if (!enabled) throw forbidden("The collection is not configured to allow OTP authentication.");
  const body = await formBody(context);
  const otpId = formText(context, body, "otpId");
  const password = formText(context, body, "password");
  failForm({
    otpId: otpId === "" ? BLANK : lengthError(otpId, 1, 255),
    password: password === "" ? BLANK : lengthError(password, 1, 71),
  });
  const found = findOtp(context, collection, otpId, durationSeconds * 1000);
  if (found === undefined) throw badRequest(INVALID);
  const isFree = context.tenant
    .slot(otpTries)
    .take(`${found.record.id} ${context.clientIp}`, limits.otpTriesMax, limits.otpTriesWindowMs, Date.now());
  if (!isFree) throw tooManyRequests("Too many attempts, please try again later with a new OTP.");
  if (!(await verifyPassword(password, toText(found.sent.values["password"])))) throw badRequest(INVALID);
  await consume(context, found.sent);
  const record = await prove(context, found.record, found.sent);
  return signIn.answer(context, {
    record,
    token: newAuthToken(record),
    method: "otp",
    requestContext: "otp",
  });
}

function findOtp(
  context: PbContext,
  collection: Collection,
  id: string,
  durationMs: number,
): { sent: RecordData; record: RecordData } | undefined {
  const model = modelOf(context.tenant);
  const otps = model.schema.find("_otps");
  if (otps === undefined) return undefined;
  return context.tenant.data.read(context.seen, (db) => {
    const sent = model.find(db, otps, id);
    if (sent === undefined || sent.values["collectionRef"] !== collection.id) return undefined;
    const createdMs = Date.parse(toText(sent.values["created"]).replace(" ", "T"));
    if (!(createdMs + durationMs > Date.now())) return undefined;
    const record = model.find(db, collection, toText(sent.values["recordRef"]));
    return record === undefined ? undefined : { sent, record };
  });
}

/**
 * Whoever read the mail owns its address. A password that was set before may be somebody else's: it goes, unless it is the other
 * factor.
 */
async function prove(context: PbContext, record: RecordData, sent: RecordData): Promise<RecordData> {
  const { email, verified } = record.values;
  const sentTo = sent.values["sentTo"];
  if (verified === true || sentTo === "" || sentTo !== email) return record;
  const { tenant, seen } = context;
  const model = modelOf(tenant);
  const pending = model.bind(record.collection, record, { verified: true }, new Map(), { allowHidden: true });
  if (!mfa(record.collection).enabled) pending.values["password"] = await unknownPassword();
  return tenant.data.write(seen, (tx) => model.save(tx, pending));
}

/** One use: of two that come at once only one finds it. @throws ApiError 400 for the other */
async function consume(context: PbContext, sent: RecordData): Promise<void> {
  const model = modelOf(context.tenant);
  await context.tenant.data.write(context.seen, (tx) => {
    const current = model.find(tx, sent.collection, sent.id);
    if (current === undefined) throw badRequest(INVALID);
    model.remove(tx, current);
  });
}
