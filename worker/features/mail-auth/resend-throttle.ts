/**
 * One mail of a kind to a record in two minutes. Kept in auxiliary.db, so that it moves with the tenant; what a crash loses of
 * it is at most one mail more.
 */
import { AUXILIARY_DB } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { RecordData } from "../../model/contract.ts";
import type { Observation, Tenant } from "../../tenant/contract.ts";

const TABLE =
  "CREATE TABLE IF NOT EXISTS `_mb_resends` (key TEXT PRIMARY KEY NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID";

export type ResendKind = "verification" | "password-reset";

/** False while the last mail is too fresh. */
export async function takeResend(
  tenant: Tenant,
  seen: Observation,
  kind: ResendKind,
  record: RecordData,
  nowMs: number,
): Promise<boolean> {
  const key = keyOf(kind, record);
  return tenant.database(AUXILIARY_DB).write(seen, (tx) => {
    tx.exec(TABLE);
    tx.run("DELETE FROM `_mb_resends` WHERE until <= ?", [nowMs]);
    if (tx.get("SELECT 1 FROM `_mb_resends` WHERE key = ?", [key]) !== undefined) return false;
    tx.run(
      "DELETE FROM `_mb_resends` WHERE key IN (SELECT key FROM `_mb_resends` ORDER BY until DESC LIMIT -1 OFFSET ?)",
      [limits.throttleRowsMax - 1],
    );
    tx.run("INSERT INTO `_mb_resends` (key, until) VALUES (?, ?)", [key, nowMs + limits.resendWaitMs]);
    return true;
  });
}

/** For a mail that could not even be queued. */
export async function giveBackResend(
  tenant: Tenant,
  seen: Observation,
  kind: ResendKind,
  record: RecordData,
): Promise<void> {
  await tenant
    .database(AUXILIARY_DB)
    .write(seen, (tx) => tx.run("DELETE FROM `_mb_resends` WHERE key = ?", [keyOf(kind, record)]));
}

function keyOf(kind: ResendKind, { collection, id }: RecordData): string {
  return `${kind} ${collection.id} ${id}`;
}
