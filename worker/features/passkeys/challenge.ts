/**
 * Challenges are tokens that the tenant signs and the client brings back, so that asking for one costs no write and nobody can
 * crowd out another's; only those that were used are kept, until they would have expired.
 */
import { randomBytes } from "node:crypto";
import { limits } from "../../../shared/limits.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { readClaims, signToken, verifyToken } from "../../auth/jwt.ts";
import { tokenOptions } from "../../auth/options.ts";
import type { RecordData } from "../../model/contract.ts";
import { toText } from "../../model/fields/cast.ts";
import { type ApiError, badRequest, tooManyRequests } from "../../pb/api-error.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { createTables } from "./tables.ts";

export interface Challenge {
  /** What the authenticator signs: base64url. */
  challenge: string;
  rpId: string;
  /** Empty: whoever the passkey belongs to. */
  identity: string;
  expiresMs: number;
}

/** Far from the types of tokens that sign in: those are refused here, and these there. */
const TYPES = { create: "passkeyCreate", get: "passkeyGet" } as const;
type Kind = keyof typeof TYPES;

const CHALLENGE_BYTES = 32;

/** `record`: whose new passkey it is for. A new token key of the record ends it. */
export function issueChallenge(
  kind: Kind,
  collection: Collection,
  rpId: string,
  { record, identity = "" }: { record?: RecordData; identity?: string },
): { challenge: Uint8Array<ArrayBuffer>; challengeId: string } {
  const bytes = new Uint8Array(randomBytes(CHALLENGE_BYTES));
  const claims = {
    type: TYPES[kind],
    collectionId: collection.id,
    challenge: Buffer.from(bytes).toString("base64url"),
    rpId,
    identity,
    exp: Math.floor((Date.now() + limits.passkeyChallengeMs) / 1000),
  };
  return { challenge: bytes, challengeId: signToken(claims, signingKey(kind, collection, record)) };
}

/** @throws ApiError 400 for one that is not this tenant's, expired, or made for something else */
export function readChallenge(
  kind: Kind,
  collection: Collection,
  challengeId: string,
  record?: RecordData,
): Challenge {
  const claims = readClaims(challengeId);
  const isGood =
    claims !== undefined &&
    claims["type"] === TYPES[kind] &&
    claims["collectionId"] === collection.id &&
    verifyToken(challengeId, claims, signingKey(kind, collection, record), Date.now());
  if (!isGood) throw invalidChallenge();
  const text = (name: string): string => toText(claims[name]);
  return {
    challenge: text("challenge"),
    rpId: text("rpId"),
    identity: text("identity"),
    expiresMs: Number(claims["exp"]) * 1000,
  };
}

/** In the transaction of what it is used for. @throws ApiError 400 the second time, 429 when too many are kept */
export function useChallenge(tx: WriteTransaction, { challenge, expiresMs }: Challenge): void {
  createTables(tx);
  tx.run("DELETE FROM `_mb_passkeyUses` WHERE until <= ?", [Date.now()]);
  if (tx.get("SELECT 1 FROM `_mb_passkeyUses` WHERE challenge = ?", [challenge]) !== undefined) {
    throw invalidChallenge();
  }
  const kept = tx.get<{ n: number }>("SELECT count(*) AS n FROM `_mb_passkeyUses`")?.n ?? 0;
  if (kept >= limits.passkeyUsedChallengesMax) throw tooManyRequests();
  tx.run("INSERT INTO `_mb_passkeyUses` (challenge, until) VALUES (?, ?)", [challenge, expiresMs]);
}

export function invalidChallenge(): ApiError {
  return badRequest("Invalid or expired passkey challenge.");
}

function signingKey(kind: Kind, collection: Collection, record: RecordData | undefined): string {
  const { secret } = tokenOptions(collection, "auth");
  const own = record?.values["tokenKey"] ?? "";
  if (secret === "" || typeof own !== "string" || (kind === "create" && own === "")) {
    throw badRequest("", undefined, "the collection or the record has no key to sign with");
  }
  return `${TYPES[kind]}/${own}${secret}`;
}
