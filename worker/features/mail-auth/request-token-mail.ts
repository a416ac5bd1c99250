/** `POST …/request-verification` and `…/request-password-reset`: `{email}`, answered by 204 whoever that is. */
import type { Collection } from "../../../shared/schema/collection.ts";
import { passwordAuth } from "../../auth/options.ts";
import { SUPERUSERS } from "../../auth/tokens.ts";
import type { Mailer } from "../../mail/mailer.ts";
import type { RecordData } from "../../model/contract.ts";
import { badRequest } from "../../pb/api-error.ts";
import { noteFailure } from "../../pb/request-notes.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import type { PbContext } from "../../pb/route.ts";
import { submittedEmail } from "./email-form.ts";
import { findByEmail } from "../../auth/find-by-email.ts";
import { inBackground, postRecordMail } from "./post.ts";
import { type ResendKind, giveBackResend, takeResend } from "./resend-throttle.ts";

export async function requestVerification(mailer: Mailer, context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  if (collection.name === SUPERUSERS) throw badRequest("All superusers are verified by default.");
  const email = await submittedEmail(context);
  post(mailer, context, collection, email, "verification", ({ values }) => values["verified"] !== true);
  return context.noContent();
}

export async function requestPasswordReset(mailer: Mailer, context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  if (!passwordAuth(collection).enabled) {
    throw badRequest("The collection is not configured to allow password authentication.");
  }
  const email = await submittedEmail(context);
  post(mailer, context, collection, email, "password-reset", () => true);
  return context.noContent();
}

/** Behind the answer's back, so that its time tells nothing either. */
function post(
  mailer: Mailer,
  context: PbContext,
  collection: Collection,
  email: string,
  kind: ResendKind,
  isWanted: (record: RecordData) => boolean,
): void {
  const { tenant } = context;
  inBackground(context, `a ${kind} mail`, async () => {
    const seen = tenant.observe();
    const record = findByEmail(tenant, seen, collection, email);
    if (record === undefined) {
      const missing = `failed to fetch ${collection.name} record with email ${email}: sql: no rows in result set`;
      noteFailure(context.request, missing);
      return;
    }
    if (!isWanted(record)) return;
    if (!(await takeResend(tenant, seen, kind, record, Date.now()))) return;
    try {
      postRecordMail(mailer, context, seen, record, { kind });
    } catch (error) {
      await giveBackResend(tenant, seen, kind, record);
      throw error;
    }
  });
}
