import type { FeatureRoute } from "../../pb/route.ts";
import { confirmEmailChange } from "./confirm-email-change.ts";
import { confirmPasswordReset } from "./confirm-password-reset.ts";
import { confirmVerification } from "./confirm-verification.ts";
import { impersonate } from "./impersonate.ts";
import { authMethods } from "./methods.ts";
import { refresh } from "./refresh.ts";
import { withOtp } from "./with-otp.ts";
import { withPassword } from "./with-password.ts";

const COLLECTION = "/api/collections/:collection";

export const authRoutes: readonly FeatureRoute[] = [
  { method: "GET", path: `${COLLECTION}/auth-methods`, actions: ["listAuthMethods"], handle: authMethods },
  {
    method: "POST",
    path: `${COLLECTION}/auth-with-password`,
    actions: ["authWithPassword", "auth"],
    handle: withPassword,
  },
  { method: "POST", path: `${COLLECTION}/auth-with-otp`, actions: ["authWithOTP", "auth"], handle: withOtp },
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
  { method: "POST", path: `${COLLECTION}/auth-refresh`, actions: ["authRefresh"], handle: refresh },
  { method: "POST", path: `${COLLECTION}/impersonate/:id`, handle: impersonate },
];
