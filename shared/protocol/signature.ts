import { limits } from "../limits.ts";
import type { Keyring } from "./keys.ts";
import { equalText, mac, sha256Base64Url } from "./mac.ts";

/**
 * Signature of a `/v1/*` call: `v1 <key id> <time ms> <mac>` over method, path with query, and the body's SHA-256.
 * The time bounds replays to `clockSkewMsMax`; every `/v1` command is idempotent or carries an id of its own.
 */
export function signCall(
  keys: Keyring,
  method: string,
  pathAndQuery: string,
  body: Uint8Array,
  nowMs: number,
): string {
  const head = `v1 ${keys.signing.id} ${nowMs}`;
  return `${head} ${mac(keys.signing, covered(head, method, pathAndQuery, body))}`;
}

export type CallProblem = "missing" | "malformed" | "unknown key" | "forged" | "expired";

/** @returns the id of the key that signed, or why the call is refused */
export function verifyCall(
  keys: Keyring,
  header: string | null,
  method: string,
  pathAndQuery: string,
  body: Uint8Array,
  nowMs: number,
): { keyId: string } | { problem: CallProblem } {
  if (header === null) return { problem: "missing" };
  const parts = header.split(" ");
  const [version, keyId, timeMs, given] = parts;
  if (parts.length !== 4 || version !== "v1" || keyId === undefined || given === undefined) {
    return { problem: "malformed" };
  }
  const key = keys.byId.get(keyId);
  if (key === undefined) return { problem: "unknown key" };
  const head = parts.slice(0, 3).join(" ");
  if (!equalText(given, mac(key, covered(head, method, pathAndQuery, body)))) return { problem: "forged" };
  if (!(Math.abs(Number(timeMs) - nowMs) <= limits.clockSkewMsMax)) return { problem: "expired" };
  return { keyId };
}

function covered(head: string, method: string, pathAndQuery: string, body: Uint8Array): string {
  return `call\n${head}\n${method}\n${pathAndQuery}\n${sha256Base64Url(body)}`;
}
