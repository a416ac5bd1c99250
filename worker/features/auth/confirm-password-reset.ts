import { findAuthCollection } from "../../pb/find-collection.ts";
import { BLANK, failForm, formText, lengthError, plainFormBody } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";
import { changeRecord } from "./change-record.ts";
import { ownerError, ownerOf } from "./token-owner.ts";

const PASSWORD_CHARACTERS_MAX = 255;

/** `POST …/confirm-password-reset`: `{token, password, passwordConfirm}`. An unchanged email counts as verified by it. */
export async function confirmPasswordReset(context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  const body = await plainFormBody(context);
  const token = formText(context, body, "token");
  const password = formText(context, body, "password");
  const confirm = formText(context, body, "passwordConfirm");
  const owner = ownerOf(context, token, "passwordReset");
  const least = Number(collection.fields.find(({ name }) => name === "password")?.["min"] ?? 0);
  failForm({
    token: token === "" ? BLANK : ownerError(owner, collection),
    password: password === "" ? BLANK : lengthError(password, least > 0 ? least : 1, PASSWORD_CHARACTERS_MAX),
    passwordConfirm:
      confirm === ""
        ? BLANK
        : confirm === password
          ? undefined
          : { code: "validation_values_mismatch", message: "Values don't match." },
  });
  if (owner === undefined) return context.noContent();
  const { record, claims } = owner;
  const verified = record.values["verified"] === true || record.values["email"] === claims["email"];
  await changeRecord(context, record, { password, verified }, "Failed to set new password.");
  return context.noContent();
}
