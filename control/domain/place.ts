import { limits } from "../../shared/limits.ts";
import type { WorkerRecord } from "./records.ts";
import type { View } from "./view.ts";

/** The live worker with the fewest tenants and room for one more; the older one of equals. */
export function leastLoaded(view: View): WorkerRecord | undefined {
  let best: WorkerRecord | undefined;
  let fewest: number = limits.tenantsOpenMax;
  for (const worker of view.workers()) {
    if (worker.state !== "live") continue;
    const tenants = view.tenantsOf(worker.incarnation).size;
    if (
      tenants < fewest ||
      (best !== undefined && tenants === fewest && worker.incarnation < best.incarnation)
    ) {
      best = worker;
      fewest = tenants;
    }
  }
  return best;
}
