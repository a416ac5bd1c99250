import type { Incarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { WorkerRecord } from "./records.ts";
import type { View } from "./view.ts";

/** What a worker last told of itself. */
export interface WorkerLoad {
  /** Loaded tenants. */
  tenants: number;
  rssBytes: number;
  memoryBytes?: number | undefined;
  busyRatio?: number | undefined;
}

export type Loads = (incarnation: Incarnation) => WorkerLoad | undefined;

const UNKNOWN: Loads = () => undefined;

export function memoryRatio(load: WorkerLoad | undefined): number {
  return load === undefined ? 0 : load.rssBytes / (load.memoryBytes ?? limits.workerMemoryBytesDefault);
}

/** Room for one more: neither too many tenants nor too little memory. */
export function hasRoom(view: View, worker: WorkerRecord, load: WorkerLoad | undefined): boolean {
  return (
    view.tenantsOf(worker.incarnation).size < limits.tenantsOpenMax &&
    memoryRatio(load) < limits.workerFullRatio
  );
}

/**
 * How full a worker is, for comparing workers: its tenants as a share of what it may have, and the memory that it uses above
 * half of its own. Below that, memory says more of the past (what was loaded once) than of room.
 */
export function fullness(view: View, worker: WorkerRecord, load: WorkerLoad | undefined): number {
  const tenants = view.tenantsOf(worker.incarnation).size / limits.tenantsOpenMax;
  return tenants + Math.max(0, memoryRatio(load) - limits.workerPressureRatio);
}

export interface Wish {
  /** Not this one. */
  except?: Incarnation | undefined;
  /** In this region, as long as one there has room. */
  region?: string | undefined;
}

/** The emptiest live worker with room for one more, in the wanted region first; the older one of equals. Draining ones take nobody. */
export function leastLoaded(
  view: View,
  loads: Loads = UNKNOWN,
  { except, region }: Wish = {},
): WorkerRecord | undefined {
  const near =
    region === undefined ? undefined : emptiest(view, loads, except, (worker) => worker.region === region);
  return near ?? emptiest(view, loads, except, () => true);
}

function emptiest(
  view: View,
  loads: Loads,
  except: Incarnation | undefined,
  fits: (worker: WorkerRecord) => boolean,
): WorkerRecord | undefined {
  let best: WorkerRecord | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const worker of view.workers()) {
    if (worker.state !== "live" || worker.incarnation === except || !fits(worker)) continue;
    const load = loads(worker.incarnation);
    if (!hasRoom(view, worker, load)) continue;
    const full = fullness(view, worker, load);
    if (full < least || (full === least && best !== undefined && worker.incarnation < best.incarnation)) {
      best = worker;
      least = full;
    }
  }
  return best;
}
