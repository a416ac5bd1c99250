/** `GET …/auth-methods`: how one may sign in to a collection. */
import { mfa, otp, passwordAuth } from "../../auth/options.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SignIn } from "../../pb/sign-in.ts";

export function authMethods(signIn: SignIn, context: PbContext): Response {
  const collection = findAuthCollection(context);
  const password = passwordAuth(collection);
  const second = mfa(collection);
  const oneTime = otp(collection);
  const identityFields = password.enabled ? password.identityFields : [];
  return context.json(200, {
    password: { identityFields, enabled: password.enabled },
    oauth2: { providers: [], enabled: false },
    mfa: { enabled: second.enabled, duration: second.enabled ? second.durationSeconds : 0 },
    otp: { enabled: oneTime.enabled, duration: oneTime.enabled ? oneTime.durationSeconds : 0 },
    authProviders: null,
    usernamePassword: identityFields.includes("username"),
    emailPassword: identityFields.includes("email"),
    ...signIn.offers(context, collection),
  });
}
