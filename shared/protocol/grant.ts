import {
  type Epoch,
  type Incarnation,
  type TenantId,
  parseEpoch,
  parseIncarnation,
  parseTenantId,
} from "../ids.ts";
import { limits } from "../limits.ts";
import type { Keyring } from "./keys.ts";
import { equalText, mac } from "./mac.ts";

/** What a request to a worker must carry: this tenant, at this epoch, on this incarnation, this method and path, for 30 s. */
export interface Grant {
  tenant: TenantId;
  epoch: Epoch;
  incarnation: Incarnation;
}

/** HMAC-SHA256 of a text, base64url, as `mac` makes it. */
export type Mac = typeof mac;

/**
 * `v1 <key id> <tenant> <epoch> <incarnation> <expiry ms> <mac>`; the mac also covers method and path with query, which are
 * not repeated because the worker sees them.
 *
 * @param by a quicker one of the runtime's
 */
export function signGrant(
  keys: Keyring,
  grant: Grant,
  method: string,
  pathAndQuery: string,
  nowMs: number,
  by: Mac = mac,
): string {
  const head = `v1 ${keys.signing.id} ${grant.tenant} ${grant.epoch} ${grant.incarnation} ${nowMs + limits.grantMs}`;
  return `${head} ${by(keys.signing, covered(head, method, pathAndQuery))}`;
}

/** @returns the grant, or a word on why there is none (for the log; callers are told only "unauthorized") */
export function verifyGrant(
  keys: Keyring,
  header: string | null,
  method: string,
  pathAndQuery: string,
  nowMs: number,
): Grant | "missing" | "malformed" | "unknown key" | "forged" | "expired" {
  if (header === null) return "missing";
  const parts = header.split(" ");
  const [version, keyId, tenant, epoch, incarnation, expiryMs, given] = parts;
  if (parts.length !== 7 || version !== "v1" || keyId === undefined || given === undefined)
    return "malformed";
  const key = keys.byId.get(keyId);
  if (key === undefined) return "unknown key";
  const head = parts.slice(0, 6).join(" ");
  if (!equalText(given, mac(key, covered(head, method, pathAndQuery)))) return "forged";
  // The mac holds, so the fields are as one of us wrote them; parsing only brands them.
  const expiry = Number(expiryMs);
  if (!(nowMs < expiry && expiry <= nowMs + limits.grantMs + limits.clockSkewMsMax)) return "expired";
  return {
    tenant: parseTenantId(tenant ?? ""),
    epoch: parseEpoch(epoch),
    incarnation: parseIncarnation(incarnation),
  };
}

function covered(head: string, method: string, pathAndQuery: string): string {
  return `grant\n${head}\n${method}\n${pathAndQuery}`;
}
