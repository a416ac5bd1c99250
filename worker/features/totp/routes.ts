import type { FeatureRoute } from "../../pb/route.ts";
import { confirmTotp, removeTotp, renewCodes, requestTotp, resetTotp, showTotp } from "./enrol.ts";
import { changePolicy, showPolicy } from "./policy.ts";
import { type AnswerAuth, withTotp } from "./with-totp.ts";

const COLLECTION = "/api/collections/:collection";

export function totpRoutes(answerAuth: AnswerAuth): FeatureRoute[] {
  return [
    {
      method: "POST",
      path: `${COLLECTION}/auth-with-totp`,
      actions: ["authWithTOTP", "auth"],
      handle: (context) => withTotp(answerAuth, context),
    },
    { method: "GET", path: `${COLLECTION}/totp`, handle: showTotp },
    { method: "POST", path: `${COLLECTION}/request-totp`, handle: requestTotp },
    { method: "POST", path: `${COLLECTION}/confirm-totp`, handle: confirmTotp },
    { method: "POST", path: `${COLLECTION}/renew-backup-codes`, handle: renewCodes },
    { method: "POST", path: `${COLLECTION}/remove-totp`, handle: removeTotp },
    { method: "DELETE", path: `${COLLECTION}/totp/:id`, handle: resetTotp },
    { method: "GET", path: `${COLLECTION}/auth-policy`, handle: showPolicy },
    { method: "PATCH", path: `${COLLECTION}/auth-policy`, handle: changePolicy },
  ];
}
