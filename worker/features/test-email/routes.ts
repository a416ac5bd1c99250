/** `POST /api/settings/test/email`: `{email, template, collection?}`; the answer waits for what the mail server says. */
import { randomText } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { SUPERUSERS } from "../../auth/tokens.ts";
import { type Mailer, isMailRefusal } from "../../mail/mailer.ts";
import { type RecordMail, composeRecordMail } from "../../mail/record-mail.ts";
import { tenantSender } from "../../mail/sender.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { looksLikeEmail } from "../../model/rules.ts";
import { badRequest } from "../../pb/api-error.ts";
import { BLANK, INVALID_EMAIL, formBody, formText, lengthError } from "../../pb/form-body.ts";
import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import { settingsOf } from "../../pb/settings.ts";

const FAILED = "Failed to send the test email.";
const INVALID_COLLECTION = {
  code: "validation_invalid_auth_collection",
  message: "Must be a valid auth collection id or name.",
};
const ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";
const KINDS = ["verification", "password-reset", "email-change", "otp", "login-alert"] as const;
type Kind = (typeof KINDS)[number];

export function testEmailRoutes(mailer: Mailer): FeatureRoute[] {
  return [
    {
      method: "POST",
      path: "/api/settings/test/email",
      handle: (context) => testEmail(mailer, context),
    },
  ];
}

async function testEmail(mailer: Mailer, context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const { tenant, seen, origin } = context;
  const { email, kind, collection } = await readForm(context);
  const settings = settingsOf(tenant, seen);
  const { to, content } = composeRecordMail(
    sample(collection, email),
    sampleMail(kind, email),
    settings,
    origin,
  );
  try {
    await mailer.deliver({ tenantId: tenant.id, sender: tenantSender(settings), to, content });
  } catch (error) {
    if (!isMailRefusal(error)) throw error;
    throw badRequest(`${FAILED} Raw error: \n${error.message}`, undefined, error);
  }
  return context.noContent();
}

async function readForm(context: PbContext): Promise<{ email: string; kind: Kind; collection: Collection }> {
  const body = await formBody(context);
  const email = formText(context, body, "email");
  const template = formText(context, body, "template");
  const name = formText(context, body, "collection");
  const kind = KINDS.find((kind) => kind === template);
  const collection = modelOf(context.tenant).schema.find(name === "" ? SUPERUSERS : name);
  const errors = {
    ...(collection?.type === "auth" ? {} : { collection: lengthError(name, 1, 255) ?? INVALID_COLLECTION }),
    ...(email === "" ? { email: BLANK } : looksLikeEmail(email) ? {} : { email: INVALID_EMAIL }),
    ...(kind === undefined
      ? {
          template:
            template === "" ? BLANK : { code: "validation_in_invalid", message: "Must be a valid value." },
        }
      : {}),
  };
  const tooLong = email === "" ? undefined : lengthError(email, 1, limits.mailAddressCharactersMax);
  if (
    tooLong !== undefined ||
    Object.keys(errors).length > 0 ||
    kind === undefined ||
    collection === undefined
  ) {
    throw badRequest(FAILED, tooLong === undefined ? errors : { ...errors, email: tooLong });
  }
  return { email, kind, collection };
}

/** A record that does not exist, whose values name their fields. */
function sample(collection: Collection, email: string): RecordData {
  const values: Record<string, unknown> = {};
  for (const { name, hidden } of collection.fields) if (!hidden) values[name] = `__pb_test_${name}`;
  const id = `__pb_test_${randomText(5, ALPHABET)}`;
  return { collection, id, values: { ...values, id, email, tokenKey: randomText(50, ALPHABET) } };
}

function sampleMail(kind: Kind, email: string): RecordMail {
  switch (kind) {
    case "email-change":
      return { kind, newEmail: email };
    case "otp":
      return { kind, otpId: "__PB_TEST_OTP_ID__", password: "123456" };
    case "login-alert":
      return { kind, info: "__PB_TEST_ALERT_INFO__" };
    default:
      return { kind };
  }
}
