import type { Logger } from "pino";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ReleaseResponse } from "../../shared/protocol/internal.ts";
import type { Clock } from "../clock.ts";
import { PREFIXES, sealKey, tenantKey, workerKey } from "../domain/keys.ts";
import type { TenantRecord, Transfer, WorkerRecord } from "../domain/records.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import { isClosed } from "../domain/tenant-parts.ts";
import { finishTransfer, giveBack, leaveSealedOwner } from "../domain/transfer-tenant.ts";
import type { View } from "../domain/view.ts";
import type { TableWaiters } from "../domain/wait.ts";
import { serves } from "../domain/worker-states.ts";
import { prewarm } from "./prewarm.ts";
import type { WorkerClient } from "./worker-client.ts";

export interface MoverParts {
  table: Table;
  waiters: TableWaiters;
  runner: Runner;
  workers: WorkerClient;
  clock: Clock;
  log: Logger;
}

type MovingTenant = TenantRecord & Required<Pick<TenantRecord, "owner" | "transfer">>;

/**
 * Brings every tenant that is on its way to an end (domain/transfer-tenant.ts). Its only memory is the state: whoever leads next
 * finds the intent and asks the owner again, which gives the same answer.
 */
export class Mover {
  readonly #parts: MoverParts;
  readonly #running = new Set<TenantId>();

  constructor(parts: MoverParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { waiters } = this.#parts;
    while (!signal.aborted) {
      this.#startJobs(signal);
      await waiters.changed([PREFIXES.tenant], signal).catch(() => undefined);
    }
  }

  #startJobs(signal: AbortSignal): void {
    for (const id of this.#parts.table.moving()) {
      if (this.#running.size >= limits.transfersParallel) return;
      if (this.#running.has(id)) continue;
      this.#running.add(id);
      void this.#bring(id, signal).finally(() => {
        this.#running.delete(id);
        if (!signal.aborted) this.#startJobs(signal);
      });
    }
  }

  async #bring(id: TenantId, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    let failures = 0;
    while (!signal.aborted) {
      const tenant = this.#onItsWay(id);
      if (tenant === undefined) return;
      try {
        await this.#step(tenant, failures, signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        log.warn({ tenant: id, why: tenant.transfer.why, failures, error }, "cannot move a tenant yet");
        const delayMs = Math.min(limits.releaseRetryMsMin * 2 ** failures, limits.releaseRetryMsMax);
        await clock.sleep(delayMs, signal).catch(() => undefined);
      }
    }
  }

  async #step(tenant: MovingTenant, failures: number, signal: AbortSignal): Promise<void> {
    const { table, waiters, runner } = this.#parts;
    const { id, transfer, owner } = tenant;
    const source = table.get(workerKey(owner.incarnation));
    const meta = runner.meta("control");
    if (!serves(source)) {
      if (await runner.run((view) => leaveSealedOwner(view, meta, id, transfer.id), signal)) return;
      const keys = [tenantKey(id), workerKey(owner.incarnation), sealKey(owner.incarnation)];
      const patience = AbortSignal.any([signal, AbortSignal.timeout(limits.releaseRetryMsMax)]);
      await waiters.changed(keys, patience).catch(() => undefined);
      return;
    }
    if (failures >= limits.releaseAttemptsMax && !isClosed(tenant)) {
      const reason = `its worker did not release it in ${failures} tries`;
      if (await runner.run((view) => giveBack(view, meta, id, transfer.id, reason), signal)) return;
    }
    if (failures === 0 && transfer.to !== undefined && !isClosed(tenant)) {
      await prewarm(this.#parts, tenant, transfer.to, signal);
      // It took a while: the intent may have gone, or the owner.
      if (this.#onItsWay(id)?.transfer.id !== transfer.id || !serves(table.get(workerKey(owner.incarnation))))
        return;
    }
    const released = await this.#release(source, tenant, signal);
    const finish = (view: View) => finishTransfer(view, meta, id, transfer.id, released.base, released);
    const moved = await runner.run(finish, signal);
    if (moved !== undefined) this.#load(moved, signal);
  }

  /** While the owner is asked its death ends the wait: nobody answers any more. */
  async #release(
    source: WorkerRecord,
    { id, epoch }: TenantRecord,
    signal: AbortSignal,
  ): Promise<ReleaseResponse> {
    const { table, waiters, workers } = this.#parts;
    const answered = new AbortController();
    const gone = new AbortController();
    const watch = async (): Promise<void> => {
      while (serves(table.get(workerKey(source.incarnation)))) {
        await waiters.changed([workerKey(source.incarnation)], AbortSignal.any([signal, answered.signal]));
      }
      gone.abort(new Error("The worker is gone"));
    };
    watch().catch(() => undefined);
    try {
      return await workers.release(source, id, epoch, AbortSignal.any([signal, gone.signal]));
    } finally {
      answered.abort();
    }
  }

  /** The new owner need not wait for the first request. Nothing depends on it. */
  #load(tenant: TenantRecord, signal: AbortSignal): void {
    const { table, workers } = this.#parts;
    const target = tenant.owner === undefined ? undefined : table.get(workerKey(tenant.owner.incarnation));
    if (serves(target)) workers.load(target, tenant.id, tenant.epoch, signal).catch(() => undefined);
  }

  #onItsWay(id: TenantId): MovingTenant | undefined {
    const tenant = this.#parts.table.get(tenantKey(id));
    if (tenant?.transfer === undefined || tenant.owner === undefined) return undefined;
    return { ...tenant, transfer: tenant.transfer, owner: tenant.owner };
  }
}

/**
 * Waits until that transfer of the tenant is over.
 * @returns the record then, or as it is when the signal aborts; undefined when the tenant is gone
 */
export async function transferEnded(
  { table, waiters }: Pick<MoverParts, "table" | "waiters">,
  id: TenantId,
  transfer: Transfer,
  signal: AbortSignal,
): Promise<TenantRecord | undefined> {
  for (;;) {
    const tenant = table.get(tenantKey(id));
    if (tenant?.transfer?.id !== transfer.id || signal.aborted) return tenant;
    await waiters.changed([tenantKey(id)], signal).catch(() => undefined);
  }
}
