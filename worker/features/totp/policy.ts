/** What a collection allows beyond PocketBase's own methods; everything is off until a superuser turns it on. */
import { limits } from "../../../shared/limits.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import { findAuthCollection } from "../../pb/find-collection.ts";
import { badRequest } from "../../pb/api-error.ts";
import { failForm, formBody, lengthError } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import { createTables, hasTables } from "./tables.ts";

export interface AuthPolicy {
  totp: {
    enabled: boolean;
    /** The name that authenticator apps show; empty: the application's name. */
    issuer: string;
  };
}

export function policyOf(db: SqlReader, collection: Collection): AuthPolicy {
  const none: AuthPolicy = { totp: { enabled: false, issuer: "" } };
  if (!hasTables(db)) return none;
  const row = db.get<{ totpEnabled: number; totpIssuer: string }>(
    "SELECT totpEnabled, totpIssuer FROM `_mb_authPolicies` WHERE collectionRef = ?",
    [collection.id],
  );
  return row === undefined ? none : { totp: { enabled: row.totpEnabled === 1, issuer: row.totpIssuer } };
}

/** `GET …/auth-policy` */
export function showPolicy(context: PbContext): Response {
  context.requireSuperuser();
  const collection = findAuthCollection(context);
  return context.json(
    200,
    context.tenant.data.read(context.seen, (db) => policyOf(db, collection)),
  );
}

/** `PATCH …/auth-policy`: `{totp: {enabled?, issuer?}}`; what is left out stays. */
export async function changePolicy(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const collection = findAuthCollection(context);
  const { enabled, issuer } = submitted((await formBody(context)).values["totp"]);
  failForm({
    issuer: issuer === undefined ? undefined : lengthError(issuer, 0, limits.totpIssuerCharactersMax),
  });
  const policy = await context.tenant.data.write(context.seen, (tx) => {
    createTables(tx);
    const before = policyOf(tx, collection).totp;
    const totp = { enabled: enabled ?? before.enabled, issuer: issuer ?? before.issuer };
    tx.run(
      "INSERT OR REPLACE INTO `_mb_authPolicies` (collectionRef, totpEnabled, totpIssuer) VALUES (?, ?, ?)",
      [collection.id, totp.enabled ? 1 : 0, totp.issuer],
    );
    return { totp };
  });
  return context.json(200, policy);
}

function submitted(value: unknown): { enabled: boolean | undefined; issuer: string | undefined } {
  if (typeof value !== "object" || value === null) throw badRequest();
  const { enabled, issuer } = value as Record<string, unknown>;
  if (enabled !== undefined && typeof enabled !== "boolean") throw badRequest();
  if (issuer !== undefined && typeof issuer !== "string") throw badRequest();
  return { enabled, issuer };
}
