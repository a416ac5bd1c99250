/** The tokens of a tenant's auth records: claims, keys and lifetimes as PocketBase's, so tokens outlive an import. */
import type { Collection, Schema } from "../../shared/schema/collection.ts";
import type { RecordData } from "../model/contract.ts";
import { type Claims, readClaims, signToken, verifyToken } from "./jwt.ts";
import { type TokenKind, tokenOptions } from "./options.ts";

export const SUPERUSERS = "_superusers";

export interface TokenOwner {
  record: RecordData;
  collection: Collection;
  claims: Claims;
}

/** A token that auth-refresh may renew. */
export function newAuthToken(record: RecordData, nowMs = Date.now()): string {
  return newToken(record, "auth", { refreshable: true }, nowMs);
}

/** An auth token that ends for good after `durationSeconds` (the collection's own duration when absent). */
export function newStaticAuthToken(record: RecordData, durationSeconds?: number, nowMs = Date.now()): string {
  return newToken(record, "auth", { refreshable: false }, nowMs, durationSeconds);
}

export function newFileToken(record: RecordData, nowMs = Date.now()): string {
  return newToken(record, "file", {}, nowMs);
}

export function newVerificationToken(record: RecordData, nowMs = Date.now()): string {
  return newToken(record, "verification", { email: record.values["email"] }, nowMs);
}

export function newPasswordResetToken(record: RecordData, nowMs = Date.now()): string {
  return newToken(record, "passwordReset", { email: record.values["email"] }, nowMs);
}

export function newEmailChangeToken(record: RecordData, newEmail: string, nowMs = Date.now()): string {
  return newToken(record, "emailChange", { email: record.values["email"], newEmail }, nowMs);
}

/**
 * The record that a token speaks for, if the token is of one of `kinds`, signed by the record's key and in time.
 * `find` reads a record of an auth collection by id.
 */
export function findTokenOwner(
  token: string,
  kinds: readonly TokenKind[],
  schema: Schema,
  find: (collection: Collection, id: string) => RecordData | undefined,
  nowMs = Date.now(),
): TokenOwner | undefined {
  const claims = readClaims(token);
  if (claims === undefined) return undefined;
  const { id, type, collectionId } = claims;
  const kind = kinds.find((kind) => kind === type);
  if (kind === undefined || typeof id !== "string" || typeof collectionId !== "string") return undefined;
  const collection = schema.find(collectionId);
  if (collection?.type !== "auth") return undefined;
  const record = find(collection, id);
  if (record === undefined) return undefined;
  const key = signingKey(record, kind);
  return key !== undefined && verifyToken(token, claims, key, nowMs)
    ? { record, collection, claims }
    : undefined;
}

function newToken(
  record: RecordData,
  kind: TokenKind,
  extra: Claims,
  nowMs: number,
  durationSeconds = tokenOptions(record.collection, kind).durationSeconds,
): string {
  const key = signingKey(record, kind);
  if (key === undefined)
    throw new Error(`Cannot sign ${kind} token: the record or its collection has no key`);
  const exp = Math.floor(nowMs / 1000) + durationSeconds;
  return signToken({ ...extra, id: record.id, type: kind, collectionId: record.collection.id, exp }, key);
}

/** Undefined when either half is missing: an empty key must never sign. */
function signingKey(record: RecordData, kind: TokenKind): string | undefined {
  const tokenKey = record.values["tokenKey"];
  const { secret } = tokenOptions(record.collection, kind);
  return typeof tokenKey === "string" && tokenKey !== "" && secret !== "" ? tokenKey + secret : undefined;
}
