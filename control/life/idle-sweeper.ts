import type { Logger } from "pino";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../clock.ts";
import { tenantKey, workerKey } from "../domain/keys.ts";
import { type Use, markUse } from "../domain/mark-use.ts";
import type { WorkerRecord } from "../domain/records.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import { beginTransfer } from "../domain/transfer-tenant.ts";
import type { WorkerClient } from "../moving/worker-client.ts";

export interface IdleSweeperParts {
  table: Table;
  runner: Runner;
  workers: WorkerClient;
  clock: Clock;
  log: Logger;
  /** Without a request for this long a tenant is idle. */
  idleMs: number;
  /** And for this long it is evicted; 0: never. */
  evictMs: number;
}

/** Asks workers now and then which tenants nobody uses; nothing is remembered between sweeps. */
export class IdleSweeper {
  readonly #parts: IdleSweeperParts;
  readonly #everyMs: number;

  constructor(parts: IdleSweeperParts) {
    this.#parts = parts;
    const shortest = parts.evictMs > 0 ? Math.min(parts.idleMs, parts.evictMs) : parts.idleMs;
    this.#everyMs = Math.max(limits.lifeSweepMsMin, Math.min(limits.lifeSweepMsMax, shortest / 4));
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    while (!signal.aborted) {
      await clock.sleep(this.#everyMs, signal).catch(() => undefined);
      if (!signal.aborted) await this.sweep(signal);
    }
  }

  async sweep(signal: AbortSignal): Promise<void> {
    const { table, log } = this.#parts;
    const next = [...table.workers()].filter(({ state }) => state === "live").values();
    const lane = async (): Promise<void> => {
      for (const worker of next) {
        if (signal.aborted) return;
        await this.#sweepWorker(worker, signal).catch((error: unknown) => {
          if (!signal.aborted)
            log.debug({ incarnation: worker.incarnation, error }, "cannot ask for idle tenants");
        });
      }
    };
    await Promise.all(Array.from({ length: limits.lifeListsParallel }, lane));
  }

  async #sweepWorker(worker: WorkerRecord, signal: AbortSignal): Promise<void> {
    const { table, runner, workers, idleMs, evictMs } = this.#parts;
    const { incarnation } = worker;
    const uses: Use[] = [];
    const unused: TenantId[] = [];
    for (const listed of await workers.tenants(worker, signal)) {
      const tenant = table.get(tenantKey(listed.tenant));
      const current = tenant?.owner?.incarnation === incarnation && tenant.epoch === listed.epoch;
      if (!current || tenant.transfer !== undefined) continue;
      if (evictMs > 0 && listed.idleMs >= evictMs) unused.push(listed.tenant);
      const state = listed.idleMs >= idleMs ? "idle" : "active";
      if (tenant.state !== state) uses.push({ tenant: listed.tenant, epoch: listed.epoch, state });
    }
    for (let i = 0; i < uses.length; i += limits.tenantsPerTxn) {
      const meta = runner.meta("control");
      const some = uses.slice(i, i + limits.tenantsPerTxn);
      await runner.run((view) => markUse(view, meta, incarnation, some), signal);
    }
    for (const id of unused.slice(0, limits.evictionsPerSweep)) {
      if (table.get(workerKey(incarnation))?.state !== "live") return;
      const meta = runner.meta("control");
      await runner.run((view) => beginTransfer(view, { meta, id, why: "idle" }), signal);
    }
  }
}
