import { decodeHash } from "../../shared/log/entry-hash.ts";

/** 32 bytes. */
export const sha256 = (bytes: Uint8Array): Uint8Array =>
  new Bun.CryptoHasher("sha256").update(bytes).digest();

export const sha256Text = (bytes: Uint8Array): string =>
  new Bun.CryptoHasher("sha256").update(bytes).digest("base64url");

/** As shared/log/entry-hash.ts says, by Bun's own SHA-256: each commit pays for it. */
export function nextEntryHash(previous: string, body: Uint8Array): string {
  const hasher = new Bun.CryptoHasher("sha256");
  if (previous !== "") hasher.update(decodeHash(previous));
  return hasher.update(body).digest("base64url");
}
