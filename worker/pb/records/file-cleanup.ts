import { createLog } from "../../log.ts";
import type { RecordChange } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";
import { dropFiles, filesOf } from "./uploads.ts";

const log = createLog("files");

/** Tenant slot: removes the files that a durable change let go. Asking for it attaches it. */
export const fileCleanup = {
  create(tenant: Tenant): true {
    modelOf(tenant).listen((tx, change) => condemn(tenant, tx, change));
    return true;
  },
};

function condemn(tenant: Tenant, tx: WriteTransaction, change: RecordChange): void {
  const old = change.action === "create" ? undefined : (change.before ?? change.record);
  if (old === undefined) return;
  const kept = new Set(change.action === "delete" ? [] : filesOf(change.record));
  const gone = filesOf(old).filter((name) => !kept.has(name));
  if (gone.length === 0) return;
  const { id, collection } = change.record;
  tx.afterDurable(() =>
    dropFiles(tenant, collection.id, id, gone).catch((error: unknown) => {
      log.warn({ err: error, tenant: tenant.id, files: gone.length }, "could not remove files of a record");
    }),
  );
}
