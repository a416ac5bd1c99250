import { SignJWT, importPKCS8 } from "jose";

export interface AppleKey {
  clientId: string;
  teamId: string;
  keyId: string;
  /** PEM, as Apple hands it out. */
  privateKey: string;
  durationSeconds: number;
}

/** The client secret that Apple wants: a JWT signed by the developer's own key. @throws Error for an unusable key */
export async function appleClientSecret(key: AppleKey, nowMs: number): Promise<string> {
  const issued = Math.floor(nowMs / 1000);
  return new SignJWT()
    .setProtectedHeader({ alg: "ES256", kid: key.keyId })
    .setAudience("https://appleid.apple.com")
    .setSubject(key.clientId)
    .setIssuer(key.teamId)
    .setIssuedAt(issued)
    .setExpirationTime(issued + key.durationSeconds)
    .sign(await importPKCS8(key.privateKey.trim(), "ES256"));
}
