import type { WorkerView } from "../../../shared/protocol/cp.ts";
import type { WorkerRecord } from "../../domain/records.ts";
import { serves } from "../../domain/worker-states.ts";
import type { Control } from "../../service.ts";

/** Newest first. Times since the last beat are known to the leader only. */
export function workerViews(control: Control): WorkerView[] {
  return [...control.table.workers()]
    .sort((a, b) => b.incarnation - a.incarnation)
    .map((worker) => workerView(control, worker));
}

function workerView({ table, leadership }: Control, worker: WorkerRecord): WorkerView {
  const { incarnation, url, state, region, version, registered } = worker;
  const leases = leadership.current?.leases;
  const lastBeatMs = serves(worker) ? leases?.silentMs(incarnation) : undefined;
  return {
    incarnation,
    url,
    state,
    tenants: table.tenantsOf(incarnation).size,
    ...(region === undefined ? {} : { region }),
    version,
    registered,
    ...(lastBeatMs === undefined ? {} : { lastBeatMs: Math.round(lastBeatMs) }),
  };
}
