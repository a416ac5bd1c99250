import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import type { SignIn } from "../../pb/sign-in.ts";
import { confirmEmailChange } from "./confirm-email-change.ts";
import { confirmPasswordReset } from "./confirm-password-reset.ts";
import { confirmVerification } from "./confirm-verification.ts";
import { impersonate } from "./impersonate.ts";
import { authMethods } from "./methods.ts";
import { changePolicy, showPolicy } from "./policy.ts";
import { refresh } from "./refresh.ts";
import { withOtp } from "./with-otp.ts";
import { withPassword } from "./with-password.ts";

const COLLECTION = "/api/collections/:collection";

export function authRoutes(signIn: SignIn): FeatureRoute[] {
  const joined =
    <Answer>(handle: (signIn: SignIn, context: PbContext) => Answer) =>
    (context: PbContext): Answer =>
      handle(signIn, context);
  return [
    {
      method: "GET",
      path: `${COLLECTION}/auth-methods`,
      actions: ["listAuthMethods"],
      handle: joined(authMethods),
    },
    {
      method: "POST",
      path: `${COLLECTION}/auth-with-password`,
      actions: ["authWithPassword", "auth"],
      handle: joined(withPassword),
    },
    {
      method: "POST",
      path: `${COLLECTION}/auth-with-otp`,
      actions: ["authWithOTP", "auth"],
      handle: joined(withOtp),
    },
    {
      method: "POST",
      path: `${COLLECTION}/confirm-password-reset`,
      actions: ["confirmPasswordReset"],
      handle: confirmPasswordReset,
    },
    {
      method: "POST",
      path: `${COLLECTION}/confirm-verification`,
      actions: ["confirmVerification"],
      handle: confirmVerification,
    },
    {
      method: "POST",
      path: `${COLLECTION}/confirm-email-change`,
      actions: ["confirmEmailChange"],
      handle: confirmEmailChange,
    },
    {
      method: "POST",
      path: `${COLLECTION}/auth-refresh`,
      actions: ["authRefresh"],
      handle: joined(refresh),
    },
    { method: "POST", path: `${COLLECTION}/impersonate/:id`, handle: joined(impersonate) },
    { method: "GET", path: `${COLLECTION}/auth-policy`, handle: showPolicy },
    { method: "PATCH", path: `${COLLECTION}/auth-policy`, handle: changePolicy },
  ];
}
