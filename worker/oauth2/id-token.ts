/** The claims of an OpenID Connect id_token (OpenID Connect Core §3.1.3.7). */
import {
  type FlattenedJWSInput,
  type JWSHeaderParameters,
  type JWTClaimVerificationOptions,
  type JWTVerifyGetKey,
  createLocalJWKSet,
  decodeJwt,
  jwtVerify,
} from "jose";
import { LRUCache } from "lru-cache";
import { limits } from "../../shared/limits.ts";
import type { Network } from "../outbound/network.ts";
import { OAuth2Failure, type Provider, type TokenAnswer } from "./contract.ts";
import { type JsonObject, listOf, textAt } from "./paths.ts";

type KeySet = ReturnType<typeof createLocalJWKSet>;

const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

/**
 * Verified by the provider's keys when it has said where they are. Otherwise the token is believed because it came from the
 * provider's own endpoint; its audience, issuer and times are checked in any case.
 */
export class IdTokens {
  readonly #network: Network;
  readonly #keys = new LRUCache<string, KeySet>({ max: limits.jwksSetsMax, ttl: limits.jwksFreshMs });

  constructor(network: Network) {
    this.#network = network;
  }

  /** @throws OAuth2Failure; UserError and SystemError of the network */
  async claimsOf(provider: Provider, { raw }: TokenAnswer, signal: AbortSignal): Promise<JsonObject> {
    const idToken = textAt(raw, "id_token");
    if (idToken === "") throw new OAuth2Failure("Cannot read id_token: the provider sent none");
    const { spec, extra, clientId } = provider;
    const jwksURL = textAt(extra, "jwksURL") || (spec.jwksURL ?? "");
    const issuers = listOf(extra["issuers"]).map(String);
    const checks: JWTClaimVerificationOptions = {
      audience: clientId,
      clockTolerance: limits.idTokenLeewaySeconds,
      requiredClaims: ["exp"],
      ...(issuers.length > 0 || spec.issuers !== undefined
        ? { issuer: issuers.length > 0 ? issuers : [...(spec.issuers ?? [])] }
        : {}),
    };
    try {
      if (jwksURL === "") return checkUnsigned(idToken, checks);
      const { payload } = await jwtVerify(idToken, this.#keyFinder(jwksURL, signal), {
        ...checks,
        algorithms: ALGORITHMS,
      });
      return payload;
    } catch (error) {
      if (!isJose(error)) throw error;
      throw new OAuth2Failure(`Cannot trust id_token: ${error.message}`, { cause: error });
    }
  }

  /** Keys are fetched anew when the known ones have none of the token's name. */
  #keyFinder(url: string, signal: AbortSignal): JWTVerifyGetKey {
    return async (header: JWSHeaderParameters, token: FlattenedJWSInput) => {
      const known = this.#keys.get(url);
      if (known !== undefined) {
        try {
          return await known(header, token);
        } catch (error) {
          if (!isJose(error)) throw error;
        }
      }
      const fresh = await this.#fetch(url, signal);
      this.#keys.set(url, fresh);
      return fresh(header, token);
    };
  }

  async #fetch(url: string, signal: AbortSignal): Promise<KeySet> {
    const { status, body } = await this.#network.request(url, {
      headers: { accept: "application/json" },
      signal,
      bytesMax: limits.oauth2AnswerBytesMax,
      redirectsMax: limits.oauth2RedirectsMax,
    });
    try {
      return createLocalJWKSet(
        JSON.parse(new TextDecoder().decode(body)) as Parameters<typeof createLocalJWKSet>[0],
      );
    } catch (cause) {
      throw new OAuth2Failure(`Cannot read the provider's keys: status ${status}`, { cause });
    }
  }
}

function checkUnsigned(idToken: string, checks: JWTClaimVerificationOptions): JsonObject {
  const claims = decodeJwt(idToken);
  const now = Math.floor(Date.now() / 1000);
  const audiences = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
  const { issuer } = checks;
  if (!audiences.includes(String(checks.audience)))
    throw new OAuth2Failure("Cannot trust id_token: not for us");
  if (typeof claims.exp !== "number" || claims.exp + limits.idTokenLeewaySeconds <= now) {
    throw new OAuth2Failure("Cannot trust id_token: it has expired");
  }
  if (Array.isArray(issuer) && !issuer.includes(String(claims.iss))) {
    throw new OAuth2Failure("Cannot trust id_token: of another issuer");
  }
  return claims;
}

function isJose(error: unknown): error is Error {
  return error instanceof Error && "code" in error && String(error.code).startsWith("ERR_J");
}
