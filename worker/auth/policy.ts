/** What an auth collection allows and asks for beyond PocketBase's own options; all off until a superuser turns it on. */
import type { Collection } from "../../shared/schema/collection.ts";
import { modelOf } from "../model/model.ts";
import type { SqlReader } from "../sqlite/contract.ts";
import type { Tenant, WriteTransaction } from "../tenant/contract.ts";

export const USER_VERIFICATIONS = ["required", "preferred", "discouraged"] as const;
export type UserVerification = (typeof USER_VERIFICATIONS)[number];

export interface AuthPolicy {
  /** Every record signs in with an authenticator app or a passkey as one of two steps; who has none enrols at sign-in. */
  required: boolean;
  totp: {
    enabled: boolean;
    /** The name that authenticator apps show; empty: the application's name. */
    issuer: string;
  };
  passkey: PasskeyPolicy;
}

export interface PasskeyPolicy {
  enabled: boolean;
  /** Whoever has a passkey is asked for it, or for another second factor of theirs, after any other first step. */
  secondFactor: boolean;
  /** A passkey whose device has checked who holds it counts as both steps. */
  multiFactor: boolean;
  /** The domain that passkeys are bound to; empty: the host that the client asked. */
  rpId: string;
  /** Pages beside the tenant's own host that may use its passkeys. */
  origins: string[];
  userVerification: UserVerification;
}

const TABLE = `CREATE TABLE \`_mb_authPolicies\` (
  collectionRef TEXT PRIMARY KEY NOT NULL, totpEnabled INTEGER NOT NULL, totpIssuer TEXT NOT NULL,
  options TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID`;

interface Row {
  totpEnabled: number;
  totpIssuer: string;
  /** JSON of `required` and `passkey`; absent in tables that are older than those. */
  options?: string;
}

export function policyOf(db: SqlReader, collection: Collection): AuthPolicy {
  const row = hasTable(db)
    ? db.get<Row>("SELECT * FROM `_mb_authPolicies` WHERE collectionRef = ?", [collection.id])
    : undefined;
  const { required = false, passkey = {} } = JSON.parse(row?.options ?? "{}") as {
    required?: boolean;
    passkey?: Partial<PasskeyPolicy>;
  };
  return {
    required,
    totp: { enabled: row?.totpEnabled === 1, issuer: row?.totpIssuer ?? "" },
    passkey: {
      enabled: false,
      secondFactor: false,
      multiFactor: false,
      rpId: "",
      origins: [],
      userVerification: "required",
      ...passkey,
    },
  };
}

export function savePolicy(tx: WriteTransaction, collection: Collection, policy: AuthPolicy): void {
  if (!hasTable(tx)) tx.exec(TABLE);
  else if (!hasOptions(tx)) {
    tx.exec("ALTER TABLE `_mb_authPolicies` ADD COLUMN options TEXT NOT NULL DEFAULT '{}'");
  }
  const { totp, required, passkey } = policy;
  tx.run(
    "INSERT OR REPLACE INTO `_mb_authPolicies` (collectionRef, totpEnabled, totpIssuer, options) VALUES (?, ?, ?, ?)",
    [collection.id, totp.enabled ? 1 : 0, totp.issuer, JSON.stringify({ required, passkey })],
  );
}

/** Tenant slot: a policy goes with its collection. Asking for it attaches it. */
export const policyCleanup = {
  create(tenant: Tenant): true {
    modelOf(tenant).listenCollections((tx, { action, collection }) => {
      if (action !== "delete" || !hasTable(tx)) return;
      tx.run("DELETE FROM `_mb_authPolicies` WHERE collectionRef = ?", [collection.id]);
    });
    return true;
  },
};

function hasTable(db: SqlReader): boolean {
  return (
    db.get("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_mb_authPolicies'") !== undefined
  );
}

function hasOptions(db: SqlReader): boolean {
  return db.get("SELECT 1 FROM pragma_table_info('_mb_authPolicies') WHERE name = 'options'") !== undefined;
}
