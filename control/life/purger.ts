import type { Logger } from "pino";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { backupsPrefix, tenantPrefix } from "../../shared/objects/layout.ts";
import type { Clock } from "../clock.ts";
import { beginPurge, finishPurge, mayPurge } from "../domain/delete-tenant.ts";
import { tenantKey } from "../domain/keys.ts";
import type { TenantRecord } from "../domain/records.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";

export interface PurgerParts {
  table: Table;
  runner: Runner;
  objects: ObjectStore;
  clock: Clock;
  log: Logger;
}

/**
 * Removes deleted tenants for good when their retention is over: the intent, then the objects, then the record. A purge that broke off
 * anywhere is found again by the record that is still there.
 */
export class Purger {
  readonly #parts: PurgerParts;

  constructor(parts: PurgerParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    while (!signal.aborted) {
      await this.sweep(signal);
      await clock.sleep(this.#pauseMs(), signal).catch(() => undefined);
    }
  }

  async sweep(signal: AbortSignal): Promise<void> {
    const { table, log } = this.#parts;
    const next = [...table.deleted()].values();
    const lane = async (): Promise<void> => {
      for (const id of next) {
        const tenant = table.get(tenantKey(id));
        if (tenant === undefined || signal.aborted) continue;
        await this.#advance(tenant, signal).catch((error: unknown) => {
          if (!signal.aborted) log.warn({ tenant: id, error }, "cannot purge a tenant yet");
        });
      }
    };
    await Promise.all(Array.from({ length: limits.purgesParallel }, lane));
  }

  async #advance(tenant: TenantRecord, signal: AbortSignal): Promise<void> {
    const { runner, clock, log } = this.#parts;
    const { id } = tenant;
    const meta = runner.meta("control");
    if (!mayPurge(tenant, clock.nowMs())) return;
    if (!(await runner.run((view) => beginPurge(view, meta, id), signal))) return;
    for (const prefix of [tenantPrefix(id), backupsPrefix(id)]) await this.#removeObjects(prefix, signal);
    const last = runner.meta("control");
    await runner.run((view) => finishPurge(view, last, id), signal);
    log.info({ tenant: id }, "purged a tenant");
  }

  async #removeObjects(prefix: string, signal: AbortSignal): Promise<void> {
    const { objects } = this.#parts;
    for (;;) {
      // From the start each time: what was listed is gone.
      const page = await objects.list({ prefix, limit: limits.storeListPage, signal });
      if (page.objects.length === 0) return;
      await objects.delete(
        page.objects.map(({ key }) => key),
        { signal },
      );
    }
  }

  /** Until the next retention ends, within bounds. */
  #pauseMs(): number {
    const { table, clock } = this.#parts;
    let pauseMs: number = limits.purgeRetryMs;
    for (const id of table.deleted()) {
      const until = table.get(tenantKey(id))?.deletion?.until;
      if (until !== undefined) pauseMs = Math.min(pauseMs, Date.parse(until) - clock.nowMs());
    }
    return Math.max(pauseMs, limits.lifeSweepMsMin);
  }
}
