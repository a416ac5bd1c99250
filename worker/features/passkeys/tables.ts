/** Tables of data.db that are no collections, made by the first passkey, as those of authenticator apps are. */
import type { RecordChange, RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";

const TABLES = `
CREATE TABLE IF NOT EXISTS \`_mb_passkeys\` (
  id TEXT PRIMARY KEY NOT NULL, collectionRef TEXT NOT NULL, recordRef TEXT NOT NULL,
  credentialId TEXT NOT NULL, publicKey BLOB NOT NULL, counter INTEGER NOT NULL, rpId TEXT NOT NULL,
  transports TEXT NOT NULL, deviceType TEXT NOT NULL, backedUp INTEGER NOT NULL, cloned INTEGER NOT NULL,
  name TEXT NOT NULL, created TEXT NOT NULL, used TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS \`_mb_passkeysByCredential\` ON \`_mb_passkeys\` (collectionRef, credentialId);
CREATE INDEX IF NOT EXISTS \`_mb_passkeysByRecord\` ON \`_mb_passkeys\` (collectionRef, recordRef);
CREATE TABLE IF NOT EXISTS \`_mb_passkeyUses\` (
  challenge TEXT PRIMARY KEY NOT NULL, until INTEGER NOT NULL
) WITHOUT ROWID;
`;

export function createTables(tx: WriteTransaction): void {
  if (!hasTables(tx)) tx.exec(TABLES);
}

/** They come together, or not at all. */
export function hasTables(db: SqlReader): boolean {
  return (
    db.get("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_mb_passkeys' LIMIT 1") !== undefined
  );
}

/** Tenant slot: passkeys go with their record or collection. Asking for it attaches it. */
export const passkeyCleanup = {
  create(tenant: Tenant): true {
    const model = modelOf(tenant);
    model.listen((tx, change) => {
      if (isLost(change)) forgetPasskeys(tx, change.record);
    });
    model.listenCollections((tx, { action, collection }) => {
      if (action !== "delete" || collection.type !== "auth" || !hasTables(tx)) return;
      tx.run("DELETE FROM `_mb_passkeys` WHERE collectionRef = ?", [collection.id]);
    });
    return true;
  },
};

export function forgetPasskeys(tx: WriteTransaction, { collection, id }: RecordData): void {
  if (!hasTables(tx)) return;
  tx.run("DELETE FROM `_mb_passkeys` WHERE collectionRef = ? AND recordRef = ?", [collection.id, id]);
}

/** Also when an address is proven: as with linked accounts, whoever enrolled before may not be its owner. */
function isLost({ action, collection, record, before }: RecordChange): boolean {
  if (collection.type !== "auth") return false;
  if (action === "delete") return true;
  return before !== undefined && before.values["verified"] !== true && record.values["verified"] === true;
}
