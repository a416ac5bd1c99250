import { limits } from "../../shared/limits.ts";
import { type Loads, hasRoom, memoryRatio } from "../domain/place.ts";
import type { View } from "../domain/view.ts";
import { serves } from "../domain/worker-states.ts";

export interface Wanted {
  workers: number;
  /** What calls for that many. */
  reason: "minimum" | "tenants" | "memory" | "cpu" | "no room";
}

/**
 * How many workers capacity and load call for, each filled to `workerFillRatio`: by tenants, by memory and by CPU of all that serve
 * now, whatever they are called; and one more than there are when none of them has room.
 */
export function wantedWorkers(view: View, loads: Loads): Wanted {
  let tenants = 0;
  let memory = 0;
  let busy = 0;
  let live = 0;
  let room = 0;
  for (const worker of view.workers()) {
    if (!serves(worker)) continue;
    const load = loads(worker.incarnation);
    tenants += view.tenantsOf(worker.incarnation).size / limits.tenantsOpenMax;
    memory += memoryRatio(load);
    busy += load?.busyRatio ?? 0;
    if (worker.state !== "live") continue;
    live++;
    if (hasRoom(view, worker, load)) room++;
  }
  const figures: Wanted[] = [
    { workers: 1, reason: "minimum" },
    { workers: needed(tenants), reason: "tenants" },
    { workers: needed(memory), reason: "memory" },
    { workers: needed(busy), reason: "cpu" },
    ...(room === 0 ? [{ workers: live + 1, reason: "no room" } as const] : []),
  ];
  return figures.reduce((most, one) => (one.workers > most.workers ? one : most));
}

function needed(sum: number): number {
  return Math.ceil(sum / limits.workerFillRatio - 1e-9);
}
