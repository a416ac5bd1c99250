import type { WorkerView } from "../../../shared/protocol/cp.ts";
import type { WorkerRecord } from "../../domain/records.ts";
import { serves } from "../../domain/worker-states.ts";
import type { Control } from "../../service.ts";

/** Newest first. */
export function workerViews(control: Control): WorkerView[] {
  return [...control.table.workers()]
    .filter(({ removed }) => removed === undefined)
    .sort((a, b) => b.incarnation - a.incarnation)
    .map((worker) => workerView(control, worker));
}

/** Its load and the time since its last beat are known to the leader only. */
export function workerView({ table, leadership }: Control, worker: WorkerRecord): WorkerView {
  const { incarnation, url, state, region, version, registered, drain } = worker;
  const leases = serves(worker) ? leadership.current?.leases : undefined;
  const lastBeatMs = leases?.silentMs(incarnation);
  const load = leases?.last(incarnation);
  return {
    incarnation,
    url,
    state,
    tenants: table.tenantsOf(incarnation).size,
    ...(region === undefined ? {} : { region }),
    version,
    registered,
    ...(lastBeatMs === undefined ? {} : { lastBeatMs: Math.round(lastBeatMs) }),
    ...(drain === undefined ? {} : { drain: drain.started }),
    ...(load === undefined
      ? {}
      : {
          load: {
            tenants: load.tenants,
            rssBytes: load.rssBytes,
            ...(load.memoryBytes === undefined ? {} : { memoryBytes: load.memoryBytes }),
            ...(load.busyRatio === undefined ? {} : { busyRatio: load.busyRatio }),
          },
        }),
  };
}
