import type { ProviderSpec } from "../contract.ts";

/** Any OpenID Connect provider: its addresses are the collection's, its claims the standard's. */
export const GENERIC_OIDC: ProviderSpec = {
  displayName: "OIDC",
  authURL: "",
  tokenURL: "",
  userInfoURL: "",
  scopes: ["openid", "email", "profile"],
  user: {
    id: "sub",
    name: "name",
    username: "preferred_username",
    avatarURL: "picture",
    email: "email",
    emailVerified: "email_verified",
    isTyped: true,
  },
};
