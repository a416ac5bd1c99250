import type { Logger } from "pino";
import { type Slug, type TenantId, parseEpoch } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Route } from "../../shared/protocol/internal.ts";
import type { Clock } from "../clock.ts";
import { PREFIXES, tenantKey, workerKey } from "../domain/keys.ts";
import type { TenantRecord } from "../domain/records.ts";
import type { Table } from "../domain/table.ts";
import type { TableWaiters } from "../domain/wait.ts";
import { serves } from "../domain/worker-states.ts";
import type { WorkerClient } from "../moving/worker-client.ts";

export interface WakerParts {
  table: Table;
  waiters: TableWaiters;
  workers: Pick<WorkerClient, "load">;
  /** As for a client: assigns a worker when there is none. */
  resolve: (slug: Slug) => Promise<Pick<Route, "worker" | "epoch">>;
  clock: Clock;
  log: Logger;
}

interface Tried {
  /** Of this due time. */
  dueMs: number;
  failures: number;
  /** Monotonic. */
  notBeforeMs: number;
}

/**
 * Loads the tenants that are due and that nobody has loaded; what they then do is their worker's business, and when they are due
 * next is what it reports. One sweep a minute over an index: no timer per tenant. Its memory is only when not to try again yet.
 */
export class Waker {
  readonly #parts: WakerParts;
  readonly #tried = new Map<TenantId, Tried>();

  constructor(parts: WakerParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#tried.clear();
    // A new leader looks at once: the one before may have died in the middle.
    while (!signal.aborted) {
      await this.sweep(signal);
      await this.#pause(signal).catch(() => undefined);
    }
  }

  /** To the next whole minute; without a worker until there are some, since what is overdue by then has waited long enough. */
  async #pause(signal: AbortSignal): Promise<void> {
    const { waiters, clock } = this.#parts;
    if (this.#somebodyServes()) {
      await clock.sleep(limits.wakeSweepMs - (clock.nowMs() % limits.wakeSweepMs), signal);
      return;
    }
    while (!this.#somebodyServes()) await waiters.changed([PREFIXES.worker], signal);
    // The others come in the same moment, and all are to have their share.
    await clock.sleep(limits.wakeSettleMs, signal);
  }

  #somebodyServes(): boolean {
    return [...this.#parts.table.workers()].some(serves);
  }

  /** Resolves when all that is due was tried once. @returns how many were loaded */
  async sweep(signal: AbortSignal): Promise<number> {
    const due = this.#due()[Symbol.iterator]();
    let loaded = 0;
    let left = limits.wakesPerSweep;
    const lane = async (): Promise<void> => {
      while (!signal.aborted && left-- > 0) {
        const next = due.next();
        if (next.done === true) return;
        if (await this.#wake(next.value, signal)) loaded += 1;
      }
    };
    await Promise.all(Array.from({ length: limits.wakesParallel }, lane));
    return loaded;
  }

  *#due(): Generator<TenantRecord & { dueMs: number }> {
    const { table, clock } = this.#parts;
    // Nobody could load them, which is no failure of theirs: after a restart of everything they are not put off.
    if (!this.#somebodyServes()) return;
    const [nowMs, monotonicMs] = [clock.nowMs(), clock.monotonicMs()];
    for (const id of this.#tried.keys()) {
      if (table.get(tenantKey(id))?.dueMs === undefined) this.#tried.delete(id);
    }
    // A copy: waking some changes the index. Whom nobody is to serve is not in it.
    for (const id of [...table.due(nowMs)]) {
      const tenant = table.get(tenantKey(id));
      const dueMs = tenant?.dueMs;
      if (tenant === undefined || dueMs === undefined || dueMs > nowMs) continue;
      // What is on its way comes to an end first; it is still due at the next sweep.
      if (tenant.transfer !== undefined) continue;
      const tried = this.#tried.get(id);
      if (tried?.dueMs === dueMs && monotonicMs < tried.notBeforeMs) continue;
      const owner = tenant.owner === undefined ? undefined : table.get(workerKey(tenant.owner.incarnation));
      if (serves(owner) && nowMs - dueMs < limits.wakeOwnerGraceMs) continue;
      yield { ...tenant, dueMs };
    }
  }

  async #wake({ id, slug, dueMs }: TenantRecord & { dueMs: number }, signal: AbortSignal): Promise<boolean> {
    const { resolve, workers, clock, log } = this.#parts;
    const before = this.#tried.get(id);
    const failures = before?.dueMs === dueMs ? before.failures + 1 : 0;
    // Also after a success: a worker that has it loaded and does not say when it is due next is not asked every minute.
    const delayMs = Math.min((limits.wakeSweepMs / 2) * 2 ** failures, limits.wakeRetryMsMax);
    this.#tried.set(id, { dueMs, failures, notBeforeMs: clock.monotonicMs() + delayMs });
    try {
      const { worker, epoch } = await resolve(slug);
      if (worker === undefined) return false;
      await workers.load(worker, id, parseEpoch(epoch), signal);
      return true;
    } catch (error) {
      if (!signal.aborted) log.warn({ tenant: id, failures, error }, "cannot wake a tenant that is due yet");
      return false;
    }
  }
}
