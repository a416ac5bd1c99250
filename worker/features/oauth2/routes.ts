import { logoOf } from "../../oauth2/providers/logo.ts";
import { PROVIDERS } from "../../oauth2/providers/table.ts";
import type { FeatureRoute } from "../../pb/route.ts";
import { generateAppleSecret } from "./apple-secret.ts";
import { redirect } from "./redirect.ts";
import type { OAuth2Services } from "./services.ts";
import { withOAuth2 } from "./with-oauth2.ts";

const REDIRECT = "/api/oauth2-redirect";

export function oauth2Routes(services: OAuth2Services): FeatureRoute[] {
  return [
    {
      method: "POST",
      path: "/api/collections/:collection/auth-with-oauth2",
      actions: ["authWithOAuth2", "auth"],
      handle: (context) => withOAuth2(services, context),
    },
    {
      method: "GET",
      path: "/api/collections/meta/oauth2-providers",
      handle: (context) => {
        context.requireSuperuser();
        const known = Object.entries(PROVIDERS);
        return context.json(
          200,
          known.map(([name, { displayName }]) => ({ name, displayName, logo: logoOf(name) })),
        );
      },
    },
    { method: "GET", path: REDIRECT, handle: (context) => redirect(services, context) },
    { method: "POST", path: REDIRECT, handle: (context) => redirect(services, context) },
    {
      method: "POST",
      path: "/api/settings/apple/generate-client-secret",
      handle: generateAppleSecret,
    },
  ];
}
