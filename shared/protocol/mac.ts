import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";

/** A shared secret with the name that is sent along, so that two can be valid while a key is rotated. */
export interface MacKey {
  /** 1-32 of `[a-z0-9-]`; not secret. */
  id: string;
  /** At least 32 bytes. */
  secret: Uint8Array;
}

const encoder = new TextEncoder();
const started = new WeakMap<Uint8Array, ReturnType<typeof hmac.create>>();

/** HMAC-SHA256 of a text, base64url. The keyed state is kept, so that a call costs two compressions less. */
export function mac(key: MacKey, message: string): string {
  let state = started.get(key.secret);
  if (state === undefined) {
    state = hmac.create(sha256, key.secret);
    started.set(key.secret, state);
  }
  return base64Url(state.clone().update(encoder.encode(message)).digest());
}

/** Constant-time in the content (not in the length, which is public). */
export function equalText(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}

export function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** @returns undefined for anything that is not base64url */
export function fromBase64Url(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** SHA-256, lower-case hex: how tokens are stored. */
export function sha256Hex(text: string): string {
  return [...sha256(encoder.encode(text))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/** SHA-256 of bytes, base64url: the body part of a signature. */
export function sha256Base64Url(bytes: Uint8Array): string {
  return base64Url(sha256(bytes));
}
