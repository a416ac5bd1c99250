import type { Logger } from "pino";
import { limits } from "../../shared/limits.ts";
import type { TenantId } from "../../shared/ids.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { backupsPrefix, dataKeysPrefix, pinKey, tenantPrefix } from "../../shared/objects/layout.ts";
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
  /** Lets a branch stand alone. */
  detach: (branch: TenantRecord, signal: AbortSignal) => Promise<unknown>;
}

/**
 * Removes deleted tenants for good when their retention is over: the intent, then the objects, then the record. A purge that broke off
 * anywhere is found again by the record that is still there.
 */
export class Purger {
  readonly #parts: PurgerParts;
  /** When its branches are asked again. */
  readonly #detachAgainMs = new Map<TenantId, number>();

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
    await this.#detachBranches(tenant, signal);
    if (!(await runner.run((view) => beginPurge(view, meta, id), signal))) return;
    await this.#removeKeys(id, signal);
    for (const prefix of [tenantPrefix(id), backupsPrefix(id)]) await this.#removeObjects(prefix, signal);
    // A rotation of keys that began before may have put one back.
    await this.#removeKeys(id, signal);
    // A branch: its parent need not keep anything for it any more.
    if (tenant.origin !== undefined)
      await this.#parts.objects.delete([pinKey(tenant.origin.tenant, id)], { signal });
    const last = runner.meta("control");
    await runner.run((view) => finishPurge(view, last, id), signal);
    log.info({ tenant: id }, "purged a tenant");
  }

  /** A purge waits for its branches, as long as it takes: what they read of it is nowhere else. */
  async #detachBranches({ id, slug }: TenantRecord, signal: AbortSignal): Promise<void> {
    const { table, clock, detach, log } = this.#parts;
    const branches = [...table.branchesOf(id)];
    if (branches.length === 0) {
      this.#detachAgainMs.delete(id);
      return;
    }
    if ((this.#detachAgainMs.get(id) ?? -Infinity) > clock.monotonicMs()) return;
    this.#detachAgainMs.set(id, clock.monotonicMs() + limits.detachRetryMs);
    for (const branch of branches) {
      const record = table.get(tenantKey(branch));
      if (record === undefined || signal.aborted) continue;
      await detach(record, signal).catch((error: unknown) => {
        if (!signal.aborted)
          log.warn({ tenant: id, branch, error }, `cannot purge ${slug} before its branch is detached`);
      });
    }
  }

  /**
   * First of all, with what the store keeps of earlier versions: from here on nothing of an encrypted tenant can be read, in
   * whatever copies it is. The data key is nowhere else, and no worker has the tenant.
   */
  async #removeKeys(id: TenantId, signal: AbortSignal): Promise<void> {
    const { objects } = this.#parts;
    const prefix = dataKeysPrefix(id);
    if (objects.shred === undefined) await this.#removeObjects(prefix, signal);
    else await objects.shred(prefix, { signal });
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
