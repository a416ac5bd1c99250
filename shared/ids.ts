/**
 * Branded identifiers. Raw input is parsed here once, at the edge; inside the rooms these types mean "already checked".
 */
import { UserError } from "./errors.ts";

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** 15 characters of `[a-z0-9]`; the name of a tenant everywhere but in its subdomain. */
export type TenantId = Brand<string, "TenantId">;
/** The tenant's subdomain label: 1-63 of `[a-z0-9-]`, no hyphen at either end. */
export type Slug = Brand<string, "Slug">;
/** File name of one of a tenant's databases, e.g. `data.db`. The set is open. */
export type DatabaseName = Brand<string, "DatabaseName">;
/** Number of a worker process, given by control at registration, never reused. */
export type Incarnation = Brand<number, "Incarnation">;
/** A tenant's ownership counter: +1 at every change of owner. */
export type Epoch = Brand<number, "Epoch">;
/** A database's replication position; one per flush that touched it; 0 is "nothing yet". */
export type Txid = Brand<number, "Txid">;
/** Slot number in a worker's commit log; the first object is 1. */
export type LogSeq = Brand<number, "LogSeq">;
/** Control's store-wide, strictly increasing change number. */
export type Revision = Brand<number, "Revision">;

export const DATA_DB = "data.db" as DatabaseName;
export const AUXILIARY_DB = "auxiliary.db" as DatabaseName;
export const STATE_DB = "state.db" as DatabaseName;

/** Slugs that can never be a tenant: hosts of the platform itself. */
export const RESERVED_SLUGS: ReadonlySet<string> = new Set(["admin", "app", "api", "www"]);

const TENANT_ID = /^[a-z0-9]{15}$/;
const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const DATABASE_NAME = /^[a-z][a-z0-9_]{0,31}\.db$/;

/** @throws UserError `invalid_tenant_id` */
export function parseTenantId(raw: string): TenantId {
  if (!TENANT_ID.test(raw)) {
    throw new UserError(
      "invalid_tenant_id",
      `Cannot read tenant id: ${preview(raw)} is not 15 of a-z and 0-9`,
    );
  }
  return raw as TenantId;
}

/** @throws UserError `invalid_slug` or `reserved_slug` */
export function parseSlug(raw: string): Slug {
  const slug = raw.toLowerCase();
  if (!SLUG.test(slug)) {
    throw new UserError("invalid_slug", `Cannot use slug ${preview(raw)}: not a host name label`, {
      hint: "Use 1 to 63 of a-z, 0-9 and hyphen; no hyphen at the start or end.",
    });
  }
  if (RESERVED_SLUGS.has(slug)) {
    throw new UserError("reserved_slug", `Cannot use slug ${slug}: the platform itself answers there`, {
      hint: `Reserved are ${[...RESERVED_SLUGS].join(", ")}.`,
    });
  }
  return slug as Slug;
}

/** @throws UserError `invalid_database_name` */
export function parseDatabaseName(raw: string): DatabaseName {
  if (!DATABASE_NAME.test(raw)) {
    throw new UserError(
      "invalid_database_name",
      `Cannot read database name: ${preview(raw)} is not like data.db`,
    );
  }
  return raw as DatabaseName;
}

export const parseIncarnation = (raw: unknown): Incarnation => count(raw, 1, "incarnation") as Incarnation;
export const parseEpoch = (raw: unknown): Epoch => count(raw, 1, "epoch") as Epoch;
export const parseTxid = (raw: unknown): Txid => count(raw, 0, "TXID") as Txid;
export const parseLogSeq = (raw: unknown): LogSeq => count(raw, 0, "log sequence number") as LogSeq;
export const parseRevision = (raw: unknown): Revision => count(raw, 0, "revision") as Revision;

/** 16 lower-case hex digits: how TXIDs, incarnations and log slots stand in object keys, so that keys sort as numbers. */
export function hex16(value: number): string {
  return value.toString(16).padStart(16, "0");
}

/** 15 characters of `[a-z0-9]` from a source of random bytes (rejection sampling: every character equally likely). */
export function newTenantId(randomBytes: (length: number) => Uint8Array): TenantId {
  return randomText(15, "abcdefghijklmnopqrstuvwxyz0123456789", randomBytes) as TenantId;
}

/** `length` characters of `alphabet` (at most 256 characters), every one equally likely. */
export function randomText(
  length: number,
  alphabet: string,
  randomBytes: (length: number) => Uint8Array = (n) => crypto.getRandomValues(new Uint8Array(n)),
): string {
  const limit = 256 - (256 % alphabet.length);
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length * 2)) {
      if (byte < limit && text.length < length) text += alphabet[byte % alphabet.length];
    }
  }
  return text;
}

function count(raw: unknown, min: number, what: string): number {
  const value = typeof raw === "string" && /^[0-9]{1,16}$/.test(raw) ? Number(raw) : raw;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min) {
    throw new UserError(
      "invalid_number",
      `Cannot read ${what}: ${preview(String(raw))} is not a whole number from ${min}`,
    );
  }
  return value;
}

function preview(raw: string): string {
  return JSON.stringify(raw.length > 40 ? `${raw.slice(0, 40)}…` : raw);
}
