import { SUPERUSERS } from "../../auth/tokens.ts";
import { type Mailer, isMailRefusal } from "../../mail/mailer.ts";
import type { FieldError } from "../../model/contract.ts";
import { badRequest, forbidden } from "../../pb/api-error.ts";
import { findNamedCollection } from "../../pb/find-collection.ts";
import { failForm, formBody, formText } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";
import { emailError } from "./email-form.ts";
import { findByEmail } from "../../auth/find-by-email.ts";
import { mailLog, postRecordMail } from "./post.ts";

/** `POST …/request-email-change`: `{newEmail}` of the signed-in record; the mail goes to the new address. */
export async function requestEmailChange(mailer: Mailer, context: PbContext): Promise<Response> {
  const { tenant, seen } = context;
  const named = findNamedCollection(context);
  const { record, collection } = context.requireAuth();
  if (named.id !== collection.id) {
    throw forbidden(`The request requires auth record from ${collection.name} collection.`);
  }
  if (collection.name === SUPERUSERS) throw badRequest("All superusers can change their emails directly.");
  const newEmail = formText(context, await formBody(context), "newEmail");
  failForm({
    newEmail:
      emailError(newEmail) ??
      (newEmail === record.values["email"] ? NOT_NEW : undefined) ??
      (findByEmail(tenant, seen, collection, newEmail) === undefined ? undefined : TAKEN),
  });
  try {
    postRecordMail(mailer, context, seen, record, { kind: "email-change", newEmail });
  } catch (error) {
    if (!isMailRefusal(error)) throw error;
    mailLog.error({ err: error, tenant: tenant.id }, "could not send an email-change mail");
    throw badRequest("Failed to request email change.", undefined, error);
  }
  return context.noContent();
}

const NOT_NEW: FieldError = { code: "validation_not_in_invalid", message: "Must not be in list." };
const TAKEN: FieldError = { code: "validation_invalid_new_email", message: "Invalid new email address." };
