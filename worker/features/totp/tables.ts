/**
 * Tables of data.db that are no collections: no API, rule, relation or export of collections sees them, and a tenant that uses
 * none of this has none of them.
 */
import type { RecordChange } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";

const TABLES = `
CREATE TABLE IF NOT EXISTS \`_mb_totps\` (
  collectionRef TEXT NOT NULL, recordRef TEXT NOT NULL, secret TEXT NOT NULL,
  confirmed INTEGER NOT NULL, lastStep INTEGER NOT NULL, PRIMARY KEY (collectionRef, recordRef)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS \`_mb_backupCodes\` (
  collectionRef TEXT NOT NULL, recordRef TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (collectionRef, recordRef, hash)
) WITHOUT ROWID;
`;
const OWNED = ["_mb_totps", "_mb_backupCodes"] as const;

export function createTables(tx: WriteTransaction): void {
  if (!hasTables(tx)) tx.exec(TABLES);
}

/** They come together, or not at all. */
export function hasTables(db: SqlReader): boolean {
  return (
    db.get("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_mb_totps' LIMIT 1") !== undefined
  );
}

/** Tenant slot: what belonged to a record or collection goes with it. Asking for it attaches it. */
export const credentialCleanup = {
  create(tenant: Tenant): true {
    const model = modelOf(tenant);
    model.listen((tx, change) => forget(tx, change));
    model.listenCollections((tx, { action, collection }) => {
      if (action !== "delete" || collection.type !== "auth" || !hasTables(tx)) return;
      for (const table of OWNED) {
        tx.run(`DELETE FROM \`${table}\` WHERE collectionRef = ?`, [collection.id]);
      }
    });
    return true;
  },
};

function forget(tx: WriteTransaction, { action, collection, record }: RecordChange): void {
  if (action !== "delete" || collection.type !== "auth" || !hasTables(tx)) return;
  forgetCredentials(tx, collection.id, record.id);
}

export function forgetCredentials(tx: WriteTransaction, collectionRef: string, recordRef: string): void {
  for (const table of OWNED) {
    tx.run(`DELETE FROM \`${table}\` WHERE collectionRef = ? AND recordRef = ?`, [collectionRef, recordRef]);
  }
}
