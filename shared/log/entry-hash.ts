import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { SystemError } from "../errors.ts";
import { base64Url } from "../protocol/mac.ts";
import type { DataEntry, RefEntry } from "./log.ts";

/** SHA-256 of the parts in a row; a worker passes its runtime's native one. */
export type Sha256 = (...parts: readonly Uint8Array[]) => Uint8Array;

const portable: Sha256 = (...parts) => {
  const state = nobleSha256.create();
  for (const part of parts) state.update(part);
  return state.digest();
};

/**
 * The next link of a database's chain: SHA-256 of the previous link's 32 bytes (none at the start of an epoch) and the body,
 * base64url without padding.
 *
 * @param previous - 43 characters, or "" at the start of an epoch
 * @param body - `hashedBody` of the entry
 */
export function nextEntryHash(previous: string, body: Uint8Array, sha256: Sha256 = portable): string {
  return base64Url(previous === "" ? sha256(body) : sha256(decodeHash(previous), body));
}

/** What the chain covers, as it stands in the log: the body of a DATA entry, the 32 bytes of a REF's digest. */
export function hashedBody(
  entry: Pick<DataEntry, "kind" | "ltx" | "stored"> | Pick<RefEntry, "kind" | "sha256" | "storedDigest">,
): Uint8Array {
  return entry.kind === "data" ? (entry.stored ?? entry.ltx) : decodeHash(entry.storedDigest ?? entry.sha256);
}

/** @throws SystemError `internal` when it is not 43 characters of base64url */
export function decodeHash(text: string): Uint8Array {
  try {
    const bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
    if (text.length === 43 && bytes.length === 32) return bytes;
  } catch {
    // Refused below.
  }
  throw new SystemError(
    "internal",
    `Cannot use hash ${JSON.stringify(text.slice(0, 60))}: not base64url of 32 bytes`,
  );
}
