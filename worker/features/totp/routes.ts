import type { FeatureRoute } from "../../pb/route.ts";
import type { SignIn } from "../../pb/sign-in.ts";
import { confirmTotp, removeTotp, renewCodes, requestTotp, resetTotp, showTotp } from "./enrol.ts";
import { withTotp } from "./with-totp.ts";

const COLLECTION = "/api/collections/:collection";

export function totpRoutes(signIn: SignIn): FeatureRoute[] {
  return [
    {
      method: "POST",
      path: `${COLLECTION}/auth-with-totp`,
      actions: ["authWithTOTP", "auth"],
      handle: (context) => withTotp(signIn, context),
    },
    { method: "GET", path: `${COLLECTION}/totp`, handle: showTotp },
    { method: "POST", path: `${COLLECTION}/request-totp`, handle: (context) => requestTotp(signIn, context) },
    { method: "POST", path: `${COLLECTION}/confirm-totp`, handle: (context) => confirmTotp(signIn, context) },
    { method: "POST", path: `${COLLECTION}/renew-backup-codes`, handle: renewCodes },
    { method: "POST", path: `${COLLECTION}/remove-totp`, handle: removeTotp },
    { method: "DELETE", path: `${COLLECTION}/totp/:id`, handle: resetTotp },
  ];
}
