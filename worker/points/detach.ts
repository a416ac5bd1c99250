import { join } from "node:path";
import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { pinKey } from "../../shared/objects/layout.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Origin } from "../../shared/protocol/internal.ts";
import { parallel } from "../replication/parallel.ts";
import type { Tenant } from "../tenant/contract.ts";
import { onlyInOrigin } from "./branch-store.ts";
import { takeOwnSnapshots } from "./own-snapshot.ts";

/** Uploads and pins are dated by the store's clock, in whole seconds on some. */
const DATES_MS = 60_000;

export interface DetachOptions {
  tenant: Tenant;
  /** Without the branch's view. */
  store: ObjectStore;
  origin: Origin;
  /** Which uploads the branch's records name. */
  namedUploads: (keys: readonly string[]) => ReadonlySet<string>;
  signal: AbortSignal;
  /** Where large files are made before they are sent. */
  temporary?: string | undefined;
}

/**
 * Copies to the branch what it still reads of its origin; afterwards nothing of it is read there any more. Can be broken off and
 * repeated at any time. Of uploads: all that were there when the branch began, since any of its points may name them, and all that it
 * names now. @returns how many uploads were copied
 */
export async function detachBranch(options: DetachOptions): Promise<{ uploads: number }> {
  const { tenant, store, origin, namedUploads, signal, temporary = options.tenant.temporary } = options;
  const { history } = tenant;
  await history.materialise();
  const source = { store, clock: history.clock, signal, open: history.open.bind(history) };
  await takeOwnSnapshots(source, tenant.id, origin, join(temporary, "detach"));
  const pin = await store.head(pinKey(origin.tenant, tenant.id), { signal });
  const beganMs = (pin?.modifiedMs ?? Infinity) + DATES_MS;
  let uploads = 0;
  let batch: { from: string; to: string; size: number; modifiedMs: number }[] = [];
  const flush = async (): Promise<void> => {
    const named = namedUploads(batch.map(({ to }) => to));
    const wanted = batch.filter(({ to, modifiedMs }) => modifiedMs <= beganMs || named.has(to));
    batch = [];
    await parallel(wanted, limits.detachCopiesParallel, async ({ from, to }) => {
      await copyUpload(options, from, to);
      uploads++;
    });
  };
  for await (const one of onlyInOrigin(store, tenant.id, origin.tenant, signal)) {
    batch.push(one);
    if (batch.length >= limits.storeListPage) await flush();
  }
  await flush();
  return { uploads };
}

/** Sealed objects are bound to their tenant's key: they are opened and sealed anew. */
async function copyUpload(
  { tenant, store, origin, signal }: DetachOptions,
  from: string,
  to: string,
): Promise<void> {
  if (!tenant.history.encrypted && !origin.encrypted) {
    try {
      await store.copy(from, to, { signal });
    } catch (error) {
      // Maintenance of the origin may have removed what no point names.
      if (!(error instanceof UserError && error.code === "not_found")) throw error;
    }
    return;
  }
  const found = await store.get(from, { signal });
  if (found === undefined) return;
  await store.put(to, { stream: found.stream, length: found.size }, { signal });
}
