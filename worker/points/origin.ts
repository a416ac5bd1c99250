import { SystemError } from "../../shared/errors.ts";
import type { DatabaseName, TenantId, Txid } from "../../shared/ids.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Origin } from "../../shared/protocol/internal.ts";
import { type PointStep, listHistory, planPoint } from "./history.ts";
import { readBranchPin } from "./pins.ts";

/**
 * What a branch is read from before it has snapshots of its own, by database: the files that its pin names, and no others, since
 * only those are kept for it.
 *
 * @throws SystemError `chain_gap` when the pin or something that it names is not there
 */
export async function originSteps(
  store: ObjectStore,
  branch: TenantId,
  origin: Origin,
  signal: AbortSignal,
): Promise<Map<DatabaseName, { steps: readonly PointStep[]; txid: Txid }>> {
  const [pin, histories] = await Promise.all([
    readBranchPin(store, origin.tenant, branch, { signal }),
    listHistory(store, origin.tenant, { signal }),
  ]);
  const pinned = new Set(pin?.keys);
  const found = new Map<DatabaseName, { steps: readonly PointStep[]; txid: Txid }>();
  for (const [raw, txid] of Object.entries(origin.databases)) {
    const name = raw as DatabaseName;
    const history = histories.get(name) ?? { files: [], bundles: [] };
    const steps = planPoint(
      {
        files: history.files.filter(({ key }) => pinned.has(key)),
        bundles: history.bundles.filter(({ key }) => pinned.has(key)),
      },
      txid,
    );
    if (steps === undefined) {
      throw new SystemError(
        "chain_gap",
        `Cannot load branch ${branch}: ${name} of tenant ${origin.tenant} at TXID ${txid} is not there`,
        {
          hint: `Put the objects that pins/${branch}.json of that tenant names back from the bucket's versions.`,
        },
      );
    }
    found.set(name, { steps, txid });
  }
  return found;
}
