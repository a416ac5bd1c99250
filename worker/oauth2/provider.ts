/** The providers of a collection: its own settings over the table. */
import type { Collection } from "../../shared/schema/collection.ts";
import { SUPERUSERS } from "../auth/tokens.ts";
import type { AuthOptions, OAuth2Provider } from "../model/collections/auth-options.ts";
import { OAuth2Failure, type Provider } from "./contract.ts";
import { PROVIDERS } from "./providers/table.ts";

/** In the order of the collection; none when OAuth2 is off there. Superusers never sign in by somebody else's word. */
export function configuredProviders(collection: Collection): readonly OAuth2Provider[] {
  if (collection.name === SUPERUSERS) return [];
  const { oauth2 } = collection.options as AuthOptions;
  return oauth2.enabled ? (oauth2.providers ?? []) : [];
}

/** @throws OAuth2Failure when an address that the provider needs is missing */
export function providerOf(config: OAuth2Provider): Provider {
  const spec = PROVIDERS[config.name];
  if (spec === undefined) throw new OAuth2Failure(`Cannot use provider ${config.name}: it is not known`);
  const provider: Provider = {
    spec,
    name: config.name,
    displayName: config.displayName === "" ? spec.displayName : config.displayName,
    clientId: config.clientId,
    clientSecret: config.clientSecret,
    authURL: config.authURL === "" ? spec.authURL : config.authURL,
    tokenURL: config.tokenURL === "" ? spec.tokenURL : config.tokenURL,
    userInfoURL: config.userInfoURL === "" ? spec.userInfoURL : config.userInfoURL,
    pkce: config.pkce ?? spec.pkce ?? true,
    extra: config.extra ?? {},
  };
  if (provider.authURL === "" || provider.tokenURL === "") {
    throw new OAuth2Failure(`Cannot use provider ${config.name}: authURL or tokenURL is not set`);
  }
  return provider;
}
