import type { Logger } from "pino";
import type { Incarnation } from "../../shared/ids.ts";
import { assignmentOf } from "../domain/assignment.ts";
import { tenantKey, workerKey } from "../domain/keys.ts";
import type { TenantRecord } from "../domain/records.ts";
import type { Table } from "../domain/table.ts";
import { isClosed } from "../domain/tenant-parts.ts";
import type { TableWaiters } from "../domain/wait.ts";
import { serves } from "../domain/worker-states.ts";
import type { WorkerClient } from "./worker-client.ts";

export interface PrewarmParts {
  table: Table;
  waiters: TableWaiters;
  workers: WorkerClient;
  log: Logger;
}

/**
 * Lets the target of a transfer fetch the tenant while its owner still serves it, so that little is left to do in the pause. Nothing
 * depends on it: whatever goes wrong, the move goes on, only slower. Ends early when the transfer changes or one of the two is gone.
 */
export async function prewarm(
  parts: PrewarmParts,
  tenant: TenantRecord,
  to: Incarnation,
  signal: AbortSignal,
): Promise<void> {
  const { table, waiters, workers, log } = parts;
  const owner = tenant.owner?.incarnation;
  if (owner === undefined || owner === to) return;
  const [source, target] = [table.get(workerKey(owner)), table.get(workerKey(to))];
  const wanted = (): boolean => {
    const now = table.get(tenantKey(tenant.id));
    const same = now !== undefined && now.transfer?.id === tenant.transfer?.id && !isClosed(now);
    return same && serves(table.get(workerKey(owner))) && table.get(workerKey(to))?.state === "live";
  };
  if (source === undefined || target === undefined || !wanted()) return;
  const ended = new AbortController();
  const watch = async (): Promise<void> => {
    const keys = [tenantKey(tenant.id), workerKey(owner), workerKey(to)];
    while (wanted()) await waiters.changed(keys, AbortSignal.any([signal, ended.signal]));
    ended.abort(new Error("Nobody needs it any more"));
  };
  watch().catch(() => undefined);
  const until = AbortSignal.any([signal, ended.signal]);
  try {
    const base = await workers.flush(source, tenant.id, tenant.epoch, until);
    if (Object.keys(base).length === 0) return;
    const assignment = { ...assignmentOf(tenant, to), base, tails: [] };
    await workers.prewarm(target, assignment, until);
  } catch (error) {
    if (!until.aborted) log.debug({ tenant: tenant.id, to, error }, "a tenant moves without being prewarmed");
  } finally {
    ended.abort();
  }
}
