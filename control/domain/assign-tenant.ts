import { SystemError, UserError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { sealKey, tenantKey, workerKey } from "./keys.ts";
import { type Loads, leastLoaded } from "./place.ts";
import type { TenantRecord } from "./records.ts";
import { isClosed, ownedBy, withTail } from "./tenant-parts.ts";
import { type Decision, type View, draft, put } from "./view.ts";
import { serves } from "./worker-states.ts";

/**
 * Gives a tenant to the least loaded worker: one that has no owner, or one whose owner's log is sealed. Compares the tenant's,
 * the worker's and the old owner's keys, so that nobody is placed on a worker that died meanwhile or taken from one that lives.
 * Rejects with UserError `tenant_not_found` or `conflict` (suspended, deleted, archived); SystemError `tenant_moving` (owner not
 * sealed) or `no_worker`.
 */
export function assignTenant(view: View, meta: Meta, id: TenantId, loads?: Loads): Decision<TenantRecord> {
  const tenant = view.get(tenantKey(id));
  if (tenant === undefined) {
    return { reject: new UserError("tenant_not_found", "Cannot assign tenant: there is no such tenant") };
  }
  if (isClosed(tenant)) {
    return {
      reject: new UserError("conflict", `Cannot assign tenant ${tenant.slug}: nobody is to serve it`),
    };
  }
  const old = tenant.owner?.incarnation;
  if (old !== undefined && serves(view.get(workerKey(old)))) return { settled: tenant };
  const seal = old === undefined ? undefined : view.get(sealKey(old));
  if (old !== undefined && seal === undefined) {
    return {
      reject: new SystemError(
        "tenant_moving",
        `Cannot assign tenant ${tenant.slug}: its last worker's log is not sealed yet`,
        {
          retryAfterMs: 1000,
        },
      ),
    };
  }
  const worker = leastLoaded(view, loads, { region: tenant.region });
  if (worker === undefined) {
    return {
      reject: new SystemError("no_worker", `Cannot assign tenant ${tenant.slug}: no worker has room`, {
        hint: "Start another worker.",
        retryAfterMs: 1000,
      }),
    };
  }
  const tails = withTail(tenant, old, seal);
  const next = ownedBy({ ...tenant, tails, updated: isoTime(meta.atMs) }, worker.incarnation);
  return {
    draft: draft(
      view,
      [
        tenantKey(id),
        workerKey(worker.incarnation),
        ...(old === undefined ? [] : [workerKey(old), sealKey(old)]),
      ],
      [
        put(tenantKey(id), next),
        audit(meta, old === undefined ? "tenant.assign" : "tenant.take-over", id, {
          epoch: next.epoch,
          incarnation: worker.incarnation,
          ...(old === undefined ? {} : { from: old }),
        }),
      ],
    ),
    value: next,
  };
}
