/** The library's checks, with what this server expects; whatever it does not like is one refusal. */
import {
  type AuthenticationResponseJSON,
  type RegistrationResponseJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from "@simplewebauthn/server";
import { decodeAttestationObject, isoBase64URL } from "@simplewebauthn/server/helpers";
import { badRequest } from "../../pb/api-error.ts";
import type { Challenge } from "./challenge.ts";
import type { Passkey } from "./credential.ts";
import type { RelyingParty } from "./relying-party.ts";

/** EdDSA, ES256, RS256: what authenticators have. */
export const ALGORITHMS = [-8, -7, -257];

/** @throws ApiError 400 */
export async function verifyRegistration(party: RelyingParty, challenge: Challenge, response: unknown) {
  const refused = (cause: unknown) => badRequest("Failed to verify the passkey.", undefined, cause);
  try {
    const given = response as RegistrationResponseJSON;
    requirePlainAttestation(given);
    const { registrationInfo } = await verifyRegistrationResponse({
      response: given,
      expectedChallenge: challenge.challenge,
      expectedOrigin: party.allowedOrigins,
      expectedRPID: challenge.rpId,
      requireUserVerification: party.userVerification === "required",
      supportedAlgorithmIDs: ALGORITHMS,
    });
    if (registrationInfo === undefined) throw new Error("not verified");
    return registrationInfo;
  } catch (cause) {
    throw refused(cause);
  }
}

/**
 * The signature and all but the counter: that one is compared in the transaction which raises it, and only for signatures that are
 * good. Undefined when the response is not one of this passkey.
 */
export async function verifyAuthentication(
  party: RelyingParty,
  challenge: Challenge,
  { credentialId, publicKey, rpId }: Passkey,
  response: unknown,
) {
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: response as AuthenticationResponseJSON,
      expectedChallenge: challenge.challenge,
      expectedOrigin: party.allowedOrigins,
      expectedRPID: rpId,
      requireUserVerification: party.userVerification === "required",
      credential: { id: credentialId, publicKey, counter: -1 },
    });
    return verified && challenge.rpId === rpId ? authenticationInfo : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Certificates are not asked for and would prove nothing here; those that somebody sends could name addresses for the library to
 * fetch revocation lists from.
 */
function requirePlainAttestation({ response }: RegistrationResponseJSON): void {
  const attestation = decodeAttestationObject(isoBase64URL.toBuffer(response.attestationObject));
  const format = attestation.get("fmt");
  const isPlain =
    format === "none" || (format === "packed" && attestation.get("attStmt").get("x5c") === undefined);
  if (!isPlain) throw new Error(`attestation ${format} with certificates`);
}
