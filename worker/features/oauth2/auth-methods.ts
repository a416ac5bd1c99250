import { createLog } from "../../log.ts";
import { startAuth } from "../../oauth2/auth-url.ts";
import { configuredProviders, providerOf } from "../../oauth2/provider.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { SUPERUSERS } from "../../auth/tokens.ts";
import type { AuthOptions } from "../../model/collections/auth-options.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import type { FeatureRoute } from "../../pb/route.ts";

const log = createLog("oauth2");

/** The same routes; the list of a collection's auth methods among them also offers its providers. */
export function withProviders(routes: readonly FeatureRoute[]): FeatureRoute[] {
  return routes.map((route) =>
    route.path.endsWith("/auth-methods")
      ? {
          ...route,
          handle: (context) => {
            const offer = offerOf(findAuthCollection(context));
            const json = context.json.bind(context);
            context.json = (status, value) =>
              json(status, typeof value === "object" ? { ...value, ...offer } : value);
            return route.handle(context);
          },
        }
      : route,
  );
}

/** Each with a state and, for PKCE, a verifier of its own: whoever asks keeps them until the provider sends the user back. */
function offerOf(collection: Collection): Record<string, unknown> {
  if (!(collection.options as AuthOptions).oauth2.enabled || collection.name === SUPERUSERS) return {};
  const providers = configuredProviders(collection).flatMap((config) => {
    try {
      const provider = providerOf(config);
      const start = startAuth(provider);
      return [
        {
          name: provider.name,
          displayName: provider.displayName,
          logo: "",
          state: start.state,
          authURL: start.authURL,
          authUrl: start.authURL,
          codeVerifier: start.codeVerifier,
          codeChallenge: start.codeChallenge,
          codeChallengeMethod: start.codeChallengeMethod,
        },
      ];
    } catch (error) {
      log.warn({ err: error, collection: collection.name }, "a provider cannot be offered");
      return [];
    }
  });
  return { oauth2: { providers, enabled: true }, authProviders: providers };
}
