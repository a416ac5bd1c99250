import { createLog } from "../../log.ts";
import { startAuth } from "../../oauth2/auth-url.ts";
import { configuredProviders, providerOf } from "../../oauth2/provider.ts";
import { logoOf } from "../../oauth2/providers/logo.ts";
import { SUPERUSERS } from "../../auth/tokens.ts";
import type { AuthOptions } from "../../model/collections/auth-options.ts";
import type { OfferMethods } from "../../pb/sign-in.ts";

const log = createLog("oauth2");

/** Each with a state and, for PKCE, a verifier of its own: whoever asks keeps them until the provider sends the user back. */
export const offerProviders: OfferMethods = (_context, collection) => {
  if (!(collection.options as AuthOptions).oauth2.enabled || collection.name === SUPERUSERS) return {};
  const providers = configuredProviders(collection).flatMap((config) => {
    try {
      const provider = providerOf(config);
      const start = startAuth(provider);
      return [
        {
          name: provider.name,
          displayName: provider.displayName,
          logo: logoOf(provider.name),
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
};
