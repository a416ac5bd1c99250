import { limits } from "../../../shared/limits.ts";
import type { FieldError } from "../../model/contract.ts";
import { looksLikeEmail } from "../../model/rules.ts";
import { BLANK, INVALID_EMAIL, failForm, formBody, formText, lengthError } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";

export function emailError(email: string): FieldError | undefined {
  if (email === "") return BLANK;
  return (
    lengthError(email, 1, limits.mailAddressCharactersMax) ??
    (looksLikeEmail(email) ? undefined : INVALID_EMAIL)
  );
}

/** The body `{email}`. @throws ApiError 400 */
export async function submittedEmail(context: PbContext): Promise<string> {
  const email = formText(context, await formBody(context), "email");
  failForm({ email: emailError(email) });
  return email;
}
