/** The ways of an auth collection that lead through a mailbox. What their tokens entitle to is confirmed elsewhere. */
import type { Mailer } from "../../mail/mailer.ts";
import type { FeatureRoute } from "../../pb/route.ts";
import { requestEmailChange } from "./request-email-change.ts";
import { requestOtp } from "./request-otp.ts";
import { requestPasswordReset, requestVerification } from "./request-token-mail.ts";

const COLLECTION = "/api/collections/:collection";

export function mailAuthRoutes(mailer: Mailer): FeatureRoute[] {
  return [
    {
      method: "POST",
      path: `${COLLECTION}/request-verification`,
      actions: ["requestVerification"],
      handle: (context) => requestVerification(mailer, context),
    },
    {
      method: "POST",
      path: `${COLLECTION}/request-password-reset`,
      actions: ["requestPasswordReset"],
      handle: (context) => requestPasswordReset(mailer, context),
    },
    {
      method: "POST",
      path: `${COLLECTION}/request-email-change`,
      actions: ["requestEmailChange"],
      handle: (context) => requestEmailChange(mailer, context),
    },
    {
      method: "POST",
      path: `${COLLECTION}/request-otp`,
      actions: ["requestOTP"],
      handle: (context) => requestOtp(mailer, context),
    },
  ];
}
