import { type Sha256, nextEntryHash as portableNextEntryHash } from "../../shared/log/entry-hash.ts";

/** Bun's own, some ten times faster than a portable one. */
export const sha256: Sha256 = (...parts) => {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const part of parts) hasher.update(part);
  return new Uint8Array(hasher.digest().buffer);
};

export const sha256Text = (bytes: Uint8Array): string =>
  new Bun.CryptoHasher("sha256").update(bytes).digest("base64url");

export const nextEntryHash = (previous: string, body: Uint8Array): string =>
  portableNextEntryHash(previous, body, sha256);
