/** `POST …/auth-with-otp`: `{otpId, password}`, a password that was sent and works once. */
import { limits } from "../../../shared/limits.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { mfa, otp } from "../../auth/options.ts";
import { newAuthToken } from "../../auth/tokens.ts";
import type { RecordData } from "../../model/contract.ts";
import { toText } from "../../model/fields/cast.ts";
import { modelOf } from "../../model/model.ts";
import { unknownPassword, verifyPassword } from "../../model/records/passwords.ts";
import { Reason, badRequest, forbidden, tooManyRequests } from "../../pb/api-error.ts";
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
/** Tenant slot: tries by password that was sent, wherever they come from. Apart, so that no client's tries push them out. */
const triesOfOne = { create: (tenant: Tenant): FixedWindows => carriedWindows(tenant, "otp-tries-of-one") };

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
  if (found === undefined) throw badRequest(INVALID, undefined, new Reason("sql: no rows in result set"));
  const { tenant, clientIp } = context;
  const nowMs = Date.now();
  const isFree =
    tenant
      .slot(otpTries)
      .take(`${found.record.id} ${clientIp}`, limits.otpTriesMax, limits.otpTriesWindowMs, nowMs) &&
    tenant.slot(triesOfOne).take(otpId, limits.otpTriesOfOneMax, durationSeconds * 1000, nowMs);
  if (!isFree) throw tooManyRequests("Too many attempts, please try again later with a new OTP.");
  if (!(await verifyPassword(password, toText(found.sent.values["password"]), collection)))
    throw badRequest(INVALID, undefined, new Reason("incorrect password"));
  const record = await redeem(context, found);
  return signIn.answer(context, {
    record,
    token: newAuthToken(record),
    method: "otp",
    requestContext: "otp",
  });
}

interface SentOtp {
  sent: RecordData;
  record: RecordData;
}

function findOtp(
  context: PbContext,
  collection: Collection,
  id: string,
  durationMs: number,
): SentOtp | undefined {
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
 * One use: of two that come at once only one finds it. Whoever read the mail owns its address. A password that was set before may
 * be somebody else's: it goes, unless it is the other factor.
 * @throws ApiError 400 for the other
 */
async function redeem(context: PbContext, { sent, record }: SentOtp): Promise<RecordData> {
  const model = modelOf(context.tenant);
  const password =
    isProof(record, sent) && !mfa(record.collection).enabled
      ? await unknownPassword(record.collection)
      : undefined;
  return context.tenant.data.write(context.seen, (tx) => {
    const current = model.find(tx, sent.collection, sent.id);
    const owner = model.find(tx, record.collection, record.id);
    if (current === undefined || owner === undefined) throw badRequest(INVALID);
    model.remove(tx, current);
    if (!isProof(owner, sent)) return owner;
    const pending = model.bind(owner.collection, owner, { verified: true }, new Map(), { allowHidden: true });
    if (password !== undefined) pending.values["password"] = password;
    return model.save(tx, pending);
  });
}

function isProof({ values }: RecordData, sent: RecordData): boolean {
  const sentTo = sent.values["sentTo"];
  return values["verified"] !== true && sentTo !== "" && sentTo === values["email"];
}
