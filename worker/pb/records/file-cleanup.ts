import { createLog } from "../../log.ts";
import type { RecordChange } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";
import { dropCollectionFiles, dropFiles, filesOf } from "./uploads.ts";

const log = createLog("files");

/** Tenant slot: removes the files that a durable change let go. Asking for it attaches it. */
export const fileCleanup = {
  create(tenant: Tenant): true {
    const model = modelOf(tenant);
    model.listen((tx, change) => condemn(tenant, tx, change));
    model.listenCollections((tx, { action, collection }) => {
      // Its records are not told of one by one.
      if (action !== "delete" || !collection.fields.some(({ type }) => type === "file")) return;
      tx.afterDurable(() => reported(tenant, dropCollectionFiles(tenant, collection.id)));
    });
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
  tx.afterDurable(() => reported(tenant, dropFiles(tenant, collection.id, id, gone)));
}

/** What could not be removed is unnamed and harmless. */
function reported(tenant: Tenant, removal: Promise<void>): Promise<void> {
  return removal.catch((error: unknown) => {
    log.warn({ err: error, tenant: tenant.id }, "could not remove files that no record names any more");
  });
}
