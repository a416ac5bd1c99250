/** `POST …/request-otp`: `{email}`, answered by an id whoever that is. */
import { randomText } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { otp } from "../../auth/options.ts";
import type { Mailer } from "../../mail/mailer.ts";
import type { RecordData } from "../../model/contract.ts";
import { toText } from "../../model/fields/cast.ts";
import { modelOf } from "../../model/model.ts";
import { forbidden, notFound } from "../../pb/api-error.ts";
import { noteFailure } from "../../pb/request-notes.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import type { PbContext } from "../../pb/route.ts";
import { submittedEmail } from "./email-form.ts";
import { findByEmail } from "../../auth/find-by-email.ts";
import { canSend, inBackground, postRecordMail } from "./post.ts";

const ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";

export async function requestOtp(mailer: Mailer, context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  if (!otp(collection).enabled) {
    throw forbidden("The collection is not configured to allow OTP authentication.");
  }
  const email = await submittedEmail(context);
  const record = findByEmail(context.tenant, context.seen, collection, email);
  if (record === undefined) {
    const missing = `missing or invalid ${collection.name} OTP auth record with email ${email}`;
    noteFailure(context.request, missing);
  }
  const otpId =
    record === undefined
      ? undefined
      : (reusedOtp(context, collection, record) ?? (await newOtp(mailer, context, collection, record)));
  return context.json(200, { otpId: otpId ?? randomText(15, ID_ALPHABET) });
}

/** The newest one, when there are so many alive that another would only help whoever guesses. */
function reusedOtp(context: PbContext, collection: Collection, record: RecordData): string | undefined {
  const aliveMs = Date.now() - otp(collection).durationSeconds * 1000;
  const rows = context.tenant.data.read(context.seen, (db) =>
    db.values(
      "SELECT id, created FROM `_otps` WHERE collectionRef = ? AND recordRef = ? ORDER BY created DESC, _rowid_ DESC LIMIT ?",
      [collection.id, record.id, limits.otpsLiveMax + 1],
    ),
  );
  const alive = rows.filter(([, created]) => Date.parse(toText(created).replace(" ", "T")) > aliveMs);
  return alive.length > limits.otpsLiveMax ? toText(alive[0]?.[0]) : undefined;
}

/** Undefined when nobody could get it: one that is not sent would only wait to be guessed. */
async function newOtp(
  mailer: Mailer,
  context: PbContext,
  collection: Collection,
  record: RecordData,
): Promise<string | undefined> {
  const { tenant } = context;
  if (!canSend(mailer, context, "a one-time password")) return undefined;
  const model = modelOf(tenant);
  const password = randomText(otp(collection).length, "1234567890");
  // The password leaves by a mail to this address alone: whoever knows it has read that mail.
  const values = {
    collectionRef: collection.id,
    recordRef: record.id,
    password,
    sentTo: record.values["email"],
  };
  const pending = model.bind(otpsOf(context), undefined, values, new Map(), { allowHidden: true });
  await model.hashPasswords(pending);
  const saved = await tenant.data.write(context.seen, (tx) => {
    const saved = model.save(tx, pending);
    tx.afterDurable(() =>
      inBackground(context, "a one-time password", () =>
        postRecordMail(mailer, context, tenant.observe(), record, { kind: "otp", otpId: saved.id, password }),
      ),
    );
    return saved;
  });
  return saved.id;
}

function otpsOf(context: PbContext): Collection {
  const collection = modelOf(context.tenant).schema.find("_otps");
  if (collection === undefined) throw notFound();
  return collection;
}
