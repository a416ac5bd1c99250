import { createHash } from "node:crypto";
import { randomText } from "../../shared/ids.ts";
import type { Provider } from "./contract.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const STATE_CHARACTERS = 30;
const VERIFIER_CHARACTERS = 43;

export interface AuthStart {
  state: string;
  /** Ends in `redirect_uri=`: the client appends its own. */
  authURL: string;
  codeVerifier: string;
  codeChallenge: string;
  codeChallengeMethod: string;
}

/** A first step of the authorisation code flow, with PKCE (RFC 7636) where the provider takes it. */
export function startAuth(provider: Provider): AuthStart {
  const { spec, clientId, authURL, pkce, extra } = provider;
  const scopes = [...spec.scopes, ...(spec.extraScopes?.(extra) ?? [])];
  const state = randomText(STATE_CHARACTERS, ALPHABET);
  const codeVerifier = pkce ? randomText(VERIFIER_CHARACTERS, ALPHABET) : "";
  const codeChallenge = pkce ? createHash("sha256").update(codeVerifier).digest("base64url") : "";
  const codeChallengeMethod = pkce ? "S256" : "";
  const params = new URLSearchParams({
    client_id: clientId,
    response_type: "code",
    state,
    ...(scopes.length === 0 ? {} : { scope: scopes.join(" ") }),
    ...spec.authParams,
    ...(pkce ? { code_challenge: codeChallenge, code_challenge_method: codeChallengeMethod } : {}),
  });
  params.sort();
  const joint = authURL.includes("?") ? "&" : "?";
  return {
    state,
    authURL: `${authURL}${joint}${params.toString()}&redirect_uri=`,
    codeVerifier,
    codeChallenge,
    codeChallengeMethod,
  };
}
