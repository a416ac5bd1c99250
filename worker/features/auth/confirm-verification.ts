import { readClaims } from "../../auth/jwt.ts";
import { SUPERUSERS, type TokenOwner } from "../../auth/tokens.ts";
import type { FieldError } from "../../model/contract.ts";
import { badRequest } from "../../pb/api-error.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import { BLANK, failForm, formBody, formText } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";
import { changeRecord } from "./change-record.ts";
import { ownerError, ownerOf } from "./token-owner.ts";

/** `POST …/confirm-verification`: `{token}`. */
export async function confirmVerification(context: PbContext): Promise<Response> {
  const collection = findAuthCollection(context);
  if (collection.name === SUPERUSERS) throw badRequest("All superusers are verified by default.");
  const token = formText(context, await formBody(context), "token");
  const owner = ownerOf(context, token, "verification");
  failForm({
    token:
      token === "" ? BLANK : (emailClaimError(token) ?? ownerError(owner, collection) ?? emailError(owner)),
  });
  if (owner !== undefined && owner.record.values["verified"] !== true) {
    await changeRecord(
      context,
      owner.record,
      { verified: true },
      "An error occurred while saving the verified state.",
    );
  }
  return context.noContent();
}

function emailClaimError(token: string): FieldError | undefined {
  const email = readClaims(token)?.["email"];
  if (typeof email === "string" && email !== "") return undefined;
  return { code: "validation_invalid_token_claims", message: "Missing email token claim." };
}

/** The address that was proven must still be the record's. */
function emailError(owner: TokenOwner | undefined): FieldError | undefined {
  if (owner?.record.values["email"] === owner?.claims["email"]) return undefined;
  return {
    code: "validation_token_email_mismatch",
    message: "The record email doesn't match with the requested token claims.",
  };
}
