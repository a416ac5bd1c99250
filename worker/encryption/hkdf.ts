import { createHmac } from "node:crypto";

/** HKDF-SHA-256 (RFC 5869) for 32 bytes: one block. node:crypto's own takes no info of more than 1,024 bytes, and keys may be as long. */
export function hkdf(key: Uint8Array, salt: Uint8Array, info: string): Uint8Array {
  const extracted = createHmac("sha256", salt).update(key).digest();
  return new Uint8Array(createHmac("sha256", extracted).update(info).update(FIRST_BLOCK).digest());
}

const FIRST_BLOCK = new Uint8Array([1]);
