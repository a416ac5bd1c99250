import type { Logger } from "pino";
import { SystemError } from "../../shared/errors.ts";
import type { Incarnation, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../clock.ts";
import { PREFIXES, tenantKey, workerKey } from "../domain/keys.ts";
import { type Loads, leastLoaded } from "../domain/place.ts";
import type { TenantRecord } from "../domain/records.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import { isClosed } from "../domain/tenant-parts.ts";
import { beginTransfer } from "../domain/transfer-tenant.ts";
import type { TableWaiters } from "../domain/wait.ts";
import { serves } from "../domain/worker-states.ts";
import { transferEnded } from "./mover.ts";

export interface DrainerParts {
  table: Table;
  waiters: TableWaiters;
  runner: Runner;
  loads: Loads;
  clock: Clock;
  log: Logger;
}

/**
 * Empties the workers that an operator wants empty, a few tenants at a time. What is idle is evicted, the rest moves. Nothing leaves
 * while no other worker has room. The state says which workers and what they still have: nothing else is remembered.
 */
export class Drainer {
  readonly #parts: DrainerParts;
  readonly #running = new Set<Incarnation>();

  constructor(parts: DrainerParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { table, waiters } = this.#parts;
    while (!signal.aborted) {
      for (const worker of table.workers()) {
        if (worker.drain === undefined || !serves(worker) || this.#running.has(worker.incarnation)) continue;
        this.#running.add(worker.incarnation);
        void this.#empty(worker.incarnation, signal).finally(() => this.#running.delete(worker.incarnation));
      }
      await waiters.changed([PREFIXES.worker], signal).catch(() => undefined);
    }
  }

  async #empty(incarnation: Incarnation, signal: AbortSignal): Promise<void> {
    const { table, clock, log } = this.#parts;
    while (!signal.aborted && serves(table.get(workerKey(incarnation)))) {
      const ids = [...table.tenantsOf(incarnation)];
      if (ids.length === 0) {
        log.info({ incarnation }, "the worker is empty");
        return;
      }
      let left = 0;
      const next = ids.values();
      const lane = async (): Promise<void> => {
        for (const id of next) {
          if (signal.aborted) return;
          if (await this.#leave(id, incarnation, signal)) left++;
        }
      };
      await Promise.all(Array.from({ length: limits.drainParallel }, lane));
      if (left < ids.length) await clock.sleep(limits.drainRetryMs, signal).catch(() => undefined);
    }
  }

  /** @returns whether the tenant has left that worker */
  async #leave(id: TenantId, incarnation: Incarnation, signal: AbortSignal): Promise<boolean> {
    const { table, runner, loads, log } = this.#parts;
    const here = (): TenantRecord | undefined => {
      const tenant = table.get(tenantKey(id));
      return tenant?.owner?.incarnation === incarnation ? tenant : undefined;
    };
    try {
      let tenant = here();
      if (tenant === undefined) return true;
      if (tenant.transfer === undefined) {
        const meta = runner.meta("control");
        tenant = await runner.run((view) => {
          const now = here();
          const target = leastLoaded(view, loads, { except: incarnation, region: now?.region });
          if (target === undefined) return { reject: noWorker(incarnation) };
          const stays = now !== undefined && now.state !== "idle" && !isClosed(now);
          const to = stays ? { to: target.incarnation } : {};
          return beginTransfer(view, { meta, id, why: "drain", ...to });
        }, signal);
      }
      if (tenant.transfer !== undefined) await transferEnded(this.#parts, id, tenant.transfer, signal);
      return here() === undefined;
    } catch (error) {
      if (!signal.aborted) log.warn({ tenant: id, incarnation, error }, "a tenant cannot leave yet");
      return false;
    }
  }
}

function noWorker(incarnation: Incarnation): SystemError {
  return new SystemError("no_worker", `Cannot drain worker ${incarnation}: no other worker has room`, {
    hint: "Start another worker.",
    retryAfterMs: limits.drainRetryMs,
  });
}
