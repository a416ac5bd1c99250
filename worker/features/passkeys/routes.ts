import { limits } from "../../../shared/limits.ts";
import type { FeatureRoute } from "../../pb/route.ts";
import type { SignIn } from "../../pb/sign-in.ts";
import { listPasskeys, registerOptions, registerPasskey, removePasskey, renamePasskey } from "./enrol.ts";
import { passkeyOptions, withPasskey } from "./with-passkey.ts";

const COLLECTION = "/api/collections/:collection";
const PASSKEYS = `${COLLECTION}/passkeys`;

export function passkeyRoutes(signIn: SignIn): FeatureRoute[] {
  const bodyBytesMax = limits.passkeyBodyBytesMax;
  return [
    {
      method: "POST",
      path: `${COLLECTION}/auth-with-passkey-options`,
      actions: ["authWithPasskeyOptions"],
      bodyBytesMax,
      handle: passkeyOptions,
    },
    {
      method: "POST",
      path: `${COLLECTION}/auth-with-passkey`,
      actions: ["authWithPasskey", "auth"],
      bodyBytesMax,
      handle: (context) => withPasskey(signIn, context),
    },
    {
      method: "POST",
      path: `${PASSKEYS}/register-options`,
      bodyBytesMax,
      handle: (context) => registerOptions(signIn, context),
    },
    { method: "POST", path: PASSKEYS, bodyBytesMax, handle: (context) => registerPasskey(signIn, context) },
    { method: "GET", path: PASSKEYS, handle: listPasskeys },
    { method: "PATCH", path: `${PASSKEYS}/:id`, bodyBytesMax, handle: renamePasskey },
    { method: "DELETE", path: `${PASSKEYS}/:id`, handle: removePasskey },
  ];
}
