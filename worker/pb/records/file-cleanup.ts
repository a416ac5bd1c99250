import { limits } from "../../../shared/limits.ts";
import { createLog } from "../../log.ts";
import type { RecordChange } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { noteDropped } from "../../points/dropped-uploads.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";
import { droppedFiles } from "./files-of.ts";
import { collectionFileKeys, fileKeys } from "./uploads.ts";

const log = createLog("files");

/**
 * Tenant slot: notes the files that a durable change let go, so that they stay as long as a restorable point may name them and then
 * go. Asking for it attaches it.
 */
export const fileCleanup = {
  create(tenant: Tenant): true {
    const model = modelOf(tenant);
    const dropped = new Dropped(tenant);
    model.listen((tx, change) => condemn(tenant, dropped, tx, change));
    model.listenCollections((tx, { action, collection }) => {
      // Its records are not told of one by one.
      if (action !== "delete" || !collection.fields.some(({ type }) => type === "file")) return;
      tx.afterDurable(async () => {
        await reported(tenant, async () => {
          for await (const keys of collectionFileKeys(tenant, collection.id)) dropped.add(keys);
        });
      });
    });
    return true;
  },
};

/** What is let go while one note is on its way goes into the next one: a request per change would be many. */
class Dropped {
  readonly #tenant: Tenant;
  #waiting: string[] = [];
  #writing = false;

  constructor(tenant: Tenant) {
    this.#tenant = tenant;
  }

  add(keys: readonly string[]): void {
    this.#waiting.push(...keys);
    if (!this.#writing) void this.#write();
  }

  async #write(): Promise<void> {
    const { objects, id } = this.#tenant;
    this.#writing = true;
    // Let the rest of this turn's changes come in.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const keys = this.#waiting;
      this.#waiting = [];
      const signal = AbortSignal.timeout(limits.storeRequestMs);
      await reported(this.#tenant, () => noteDropped(objects, id, keys, { signal }));
    }
    this.#writing = false;
  }
}

function condemn(tenant: Tenant, dropped: Dropped, tx: WriteTransaction, change: RecordChange): void {
  const gone = droppedFiles(change);
  if (gone.length === 0) return;
  const { id, collection } = change.record;
  tx.afterDurable(() => dropped.add(fileKeys(tenant, collection.id, id, gone)));
}

/** What could not be noted is unnamed and harmless: maintenance finds it. */
async function reported(tenant: Tenant, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.warn({ err: error, tenant: tenant.id }, "could not note files that no record names any more");
  }
}
