import type { FoundPin } from "../../../control/disaster/rebuild.ts";
import { type TenantId, parseTxid } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { pinsPrefix } from "../../../shared/objects/layout.ts";
import { listAll } from "../../../shared/objects/read.ts";
import { readPin } from "../../../worker/points/pins.ts";
import { parallel } from "../../../worker/replication/parallel.ts";

/** What stands under tenants' prefixes for branches. @throws SystemError `object_foreign` for a pin that cannot be read */
export async function readPins(
  store: ObjectStore,
  tenants: Iterable<TenantId>,
  signal: AbortSignal,
): Promise<FoundPin[]> {
  const found = await parallel([...tenants], limits.restoreTenantsParallel, async (parent) => {
    const pins: FoundPin[] = [];
    for await (const { key } of listAll(store, { prefix: pinsPrefix(parent), signal })) {
      const pin = await readPin(store, key, { signal });
      if (pin === undefined) continue;
      const databases = Object.entries(pin.databases).map(([name, { txid }]) => [name, parseTxid(txid)]);
      pins.push({ parent, branch: pin.branch, databases: Object.fromEntries(databases) });
    }
    return pins;
  });
  return found.flat();
}
