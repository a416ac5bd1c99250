import { SystemError, UserError } from "../../shared/errors.ts";
import type { Slug } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ResolveRequest, Route } from "../../shared/protocol/internal.ts";
import { assignTenant } from "../domain/assign-tenant.ts";
import { noSuchTenant, tenantBySlug } from "../domain/find-tenant.ts";
import { PREFIXES, sealKey, tenantKey, workerKey } from "../domain/keys.ts";
import type { Loads } from "../domain/place.ts";
import type { TenantRecord } from "../domain/records.ts";
import { routeOf } from "../domain/route.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import { isClosed } from "../domain/tenant-parts.ts";
import type { TableWaiters } from "../domain/wait.ts";
import { transferEnded } from "../moving/mover.ts";
import type { Leadership } from "./leadership.ts";

export interface ResolverParts {
  table: Table;
  waiters: TableWaiters;
  runner: Runner;
  leadership: Leadership;
  loads: Loads;
}

/** Finds a tenant's route with a live worker; assigns one when it has none, and waits for the takeover from a dead one. */
export class RouteResolver {
  readonly #parts: ResolverParts;
  readonly #settling = new Map<Slug, Promise<void>>();
  #waiting = 0;

  constructor(parts: ResolverParts) {
    this.#parts = parts;
  }

  /**
   * A suspended or archived tenant's route comes without a worker when it has none.
   *
   * @throws UserError `tenant_not_found`; SystemError `no_worker`, `tenant_moving` (not settled in time), `overloaded`,
   * `control_no_leader`
   */
  async resolve({ slug, failed }: ResolveRequest): Promise<Route> {
    const { table, runner, leadership } = this.#parts;
    const deadline = AbortSignal.timeout(limits.routeWaitMsMax);
    if (tenantBySlug(table, slug) === undefined) await runner.confirm(deadline);
    const route = routeOf(table, this.#find(slug));
    if (failed?.reason === "not_owner" && (await this.#movedOn(slug, failed, deadline))) {
      return await this.resolve({ slug });
    }
    const doubted =
      failed !== undefined &&
      failed.reason !== "not_owner" &&
      route.worker?.incarnation === failed.incarnation;
    if (route.worker !== undefined && !doubted) return route;
    if (!wantsWorker(this.#find(slug))) return route;
    if (this.#waiting >= limits.resolvesWaitingMax) throw tooMany();
    this.#waiting++;
    try {
      const term = leadership.require();
      if (doubted) await term.checks.check(failed.incarnation, AbortSignal.any([deadline, term.signal]));
      await this.#settleOnce(slug, term.signal);
    } catch (error) {
      if (error !== deadline.reason) throw error;
      throw notSettled(slug);
    } finally {
      this.#waiting--;
    }
    return routeOf(table, this.#find(slug));
  }

  /**
   * Who was sent away by the owner of a tenant on its way waits for the end of that: the old route would send it there again.
   * @returns whether there was something to wait for
   */
  async #movedOn(
    slug: Slug,
    failed: NonNullable<ResolveRequest["failed"]>,
    deadline: AbortSignal,
  ): Promise<boolean> {
    const tenant = this.#find(slug);
    if (tenant.transfer === undefined || tenant.epoch !== failed.epoch) return false;
    if (this.#waiting >= limits.resolvesWaitingMax) throw tooMany();
    this.#waiting++;
    try {
      await transferEnded(this.#parts, tenant.id, tenant.transfer, deadline);
    } finally {
      this.#waiting--;
    }
    if (deadline.aborted) throw notSettled(slug, "it is leaving its worker");
    return true;
  }

  /** All who ask for one tenant at a time share the work. */
  #settleOnce(slug: Slug, ended: AbortSignal): Promise<void> {
    const running = this.#settling.get(slug);
    if (running !== undefined) return running;
    const settling = this.#settle(slug, ended).finally(() => this.#settling.delete(slug));
    this.#settling.set(slug, settling);
    return settling;
  }

  async #settle(slug: Slug, ended: AbortSignal): Promise<void> {
    const { table, waiters } = this.#parts;
    const timeout = AbortSignal.timeout(limits.routeWaitMsMax);
    const signal = AbortSignal.any([timeout, ended]);
    try {
      for (;;) {
        const tenant = this.#find(slug);
        if (!wantsWorker(tenant) || routeOf(table, tenant).worker !== undefined) return;
        const old = tenant.owner?.incarnation;
        if (old === undefined || table.get(sealKey(old)) !== undefined) await this.#assign(tenant, signal);
        else await waiters.changed([tenantKey(tenant.id), workerKey(old), sealKey(old)], signal);
      }
    } catch (error) {
      if (error === timeout.reason) throw notSettled(slug);
      throw error;
    }
  }

  /** A worker that just died is often back in a moment: waits a little for one before it says that there is none. */
  async #assign(tenant: TenantRecord, signal: AbortSignal): Promise<void> {
    const { runner, waiters, loads } = this.#parts;
    const patience = AbortSignal.timeout(limits.placeWaitMsMax);
    const meta = runner.meta("control");
    for (;;) {
      try {
        await runner.run((view) => assignTenant(view, meta, tenant.id, loads), signal);
        return;
      } catch (error) {
        // It was suspended or deleted meanwhile: who waits looks again.
        if (error instanceof UserError && error.code === "conflict") return;
        if (!(error instanceof SystemError) || error.code !== "no_worker") throw error;
        await waiters
          .changed([PREFIXES.worker], AbortSignal.any([signal, patience]))
          .catch((reason: unknown) => {
            throw reason === patience.reason ? error : reason;
          });
      }
    }
  }

  #find(slug: Slug): TenantRecord {
    const tenant = tenantBySlug(this.#parts.table, slug);
    if (tenant === undefined) throw noSuchTenant(slug);
    if (tenant.state === "deleted") {
      throw new UserError("tenant_deleted", `Cannot find tenant ${slug}: it was deleted`);
    }
    return tenant;
  }
}

function wantsWorker(tenant: TenantRecord): boolean {
  return !isClosed(tenant);
}

function tooMany(): SystemError {
  return new SystemError("overloaded", "Cannot find a route now: too many wait for one", {
    retryAfterMs: 1000,
  });
}

function notSettled(slug: Slug, why = "its last worker is being sealed"): SystemError {
  return new SystemError("tenant_moving", `Cannot find a route to ${slug} yet: ${why}`, {
    retryAfterMs: 1000,
  });
}
