/** The options of an auth collection, read with PocketBase's defaults where an imported collection lacks them. */
import { limits } from "../../shared/limits.ts";
import type { Collection } from "../../shared/schema/collection.ts";

export const TOKEN_KINDS = ["auth", "file", "verification", "passwordReset", "emailChange"] as const;
export type TokenKind = (typeof TOKEN_KINDS)[number];

export interface TokenOptions {
  secret: string;
  durationSeconds: number;
}

const DURATIONS: Readonly<Record<TokenKind, number>> = {
  auth: 432_000,
  file: 180,
  verification: 86_400,
  passwordReset: 1_800,
  emailChange: 1_800,
};

export function tokenOptions(collection: Collection, kind: TokenKind): TokenOptions {
  const stored = object(collection.options[`${kind}Token`]);
  const duration = Number(stored["duration"]);
  return {
    secret: text(stored["secret"]),
    durationSeconds: Number.isFinite(duration) && duration > 0 ? duration : DURATIONS[kind],
  };
}

/** Null: nobody may sign in. Empty: everybody who proves to be the record. */
export function authRule(collection: Collection): string | null {
  const rule = collection.options["authRule"];
  return rule === undefined ? "" : typeof rule === "string" ? rule : null;
}

export function manageRule(collection: Collection): string | null {
  const rule = collection.options["manageRule"];
  return typeof rule === "string" && rule !== "" ? rule : null;
}

export function passwordAuth(collection: Collection): { enabled: boolean; identityFields: string[] } {
  const stored = object(collection.options["passwordAuth"]);
  const fields = stored["identityFields"];
  return {
    enabled: stored["enabled"] === true,
    identityFields: Array.isArray(fields) ? fields.map(text) : [],
  };
}

export function oauth2(collection: Collection): { enabled: boolean; providers: Record<string, unknown>[] } {
  const stored = object(collection.options["oauth2"]);
  const providers = stored["providers"];
  return {
    enabled: stored["enabled"] === true,
    providers: Array.isArray(providers) ? providers.map(object) : [],
  };
}

export function mfa(collection: Collection): { enabled: boolean; durationSeconds: number; rule: string } {
  const stored = object(collection.options["mfa"]);
  return {
    enabled: stored["enabled"] === true,
    durationSeconds: Number(stored["duration"] ?? 0),
    rule: text(stored["rule"]),
  };
}

/** How long a first step waits for the second, PocketBase's or one that it lacks. */
export function mfaSessionSeconds(collection: Collection): number {
  return mfa(collection).durationSeconds || limits.mfaSecondsDefault;
}

export function otp(collection: Collection): { enabled: boolean; durationSeconds: number; length: number } {
  const stored = object(collection.options["otp"]);
  return {
    enabled: stored["enabled"] === true,
    durationSeconds: Number(stored["duration"] ?? 0),
    length: Number(stored["length"] ?? 0),
  };
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
