import type { Collection } from "../../../shared/schema/collection.ts";
import { findByEmail } from "../../auth/find-by-email.ts";
import { readClaims } from "../../auth/jwt.ts";
import { SUPERUSERS, type TokenOwner } from "../../auth/tokens.ts";
import type { FieldError } from "../../model/contract.ts";
import { toText } from "../../model/fields/cast.ts";
import { verifyPassword } from "../../model/records/passwords.ts";
import { badRequest } from "../../pb/api-error.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import { BLANK, failForm, formBody, formText, lengthError } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";
import { changeRecord } from "./change-record.ts";
import { ownerError, ownerOf } from "./token-owner.ts";

const PASSWORD_CHARACTERS_MAX = 100;

/** `POST …/confirm-email-change`: `{token, password}`; the new address counts as verified. */
export async function confirmEmailChange(context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  if (collection.name === SUPERUSERS) throw badRequest("All superusers can change their emails directly.");
  const body = await formBody(context);
  const token = formText(context, body, "token");
  const password = formText(context, body, "password");
  const newEmail = readClaims(token)?.["newEmail"];
  const owner = ownerOf(context, token, "emailChange");
  const wrongToken =
    token === ""
      ? BLANK
      : typeof newEmail !== "string" || newEmail === ""
        ? NO_EMAIL
        : (ownerError(owner, collection) ?? takenError(context, collection, newEmail));
  failForm({
    token: wrongToken,
    password:
      password === ""
        ? BLANK
        : (lengthError(password, 1, PASSWORD_CHARACTERS_MAX) ??
          (await passwordError(wrongToken === undefined ? owner : undefined, password))),
  });
  if (owner !== undefined) {
    const values = { email: newEmail, verified: true };
    await changeRecord(context, owner.record, values, "Failed to confirm email change.");
  }
  return context.noContent();
}

const NO_EMAIL: FieldError = {
  code: "validation_invalid_token_payload",
  message: "Invalid token payload - newEmail must be set.",
};

/** It may have been free when the change was asked for. */
function takenError(context: PbContext, collection: Collection, email: string): FieldError | undefined {
  if (findByEmail(context.tenant, context.seen, collection, email) === undefined) return undefined;
  return { code: "validation_invalid_token_email", message: "The new email address is invalid." };
}

async function passwordError(
  owner: TokenOwner | undefined,
  password: string,
): Promise<FieldError | undefined> {
  if (
    owner !== undefined &&
    (await verifyPassword(password, toText(owner.record.values["password"]), owner.collection))
  ) {
    return undefined;
  }
  return { code: "validation_invalid_password", message: "Missing or invalid auth record password." };
}
