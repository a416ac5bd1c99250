import { SystemError, UserError } from "../../shared/errors.ts";
import type { Epoch, Incarnation, TenantId } from "../../shared/ids.ts";
import type { Tail } from "../../shared/protocol/internal.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { sealKey, tenantKey, workerKey } from "./keys.ts";
import { leastLoaded } from "./place.ts";
import type { SealRecord, TenantRecord } from "./records.ts";
import { type Decision, type View, draft, put } from "./view.ts";
import { serves } from "./worker-states.ts";

/** No entry can lie below the first slot. */
const EMPTY_LOG_END = 1;

/**
 * Gives a tenant to the least loaded worker: one that has no owner, or one whose owner's log is sealed. Compares the tenant's,
 * the worker's and the old owner's keys, so that nobody is placed on a worker that died meanwhile or taken from one that lives.
 * Rejects with UserError `tenant_not_found`, SystemError `tenant_moving` (owner not sealed) or `no_worker`.
 */
export function assignTenant(view: View, meta: Meta, id: TenantId): Decision<TenantRecord> {
  const tenant = view.get(tenantKey(id));
  if (tenant === undefined) {
    return { reject: new UserError("tenant_not_found", "Cannot assign tenant: there is no such tenant") };
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
  const worker = leastLoaded(view);
  if (worker === undefined) {
    return {
      reject: new SystemError("no_worker", `Cannot assign tenant ${tenant.slug}: no worker has room`, {
        hint: "Start another worker.",
        retryAfterMs: 1000,
      }),
    };
  }
  const next: TenantRecord = {
    ...tenant,
    state: "deploying",
    epoch: (tenant.epoch + 1) as Epoch,
    owner: { incarnation: worker.incarnation },
    tails: withTail(tenant.tails, old, seal),
    updated: isoTime(meta.atMs),
  };
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

function withTail(tails: Tail[], old: Incarnation | undefined, seal: SealRecord | undefined): Tail[] {
  if (old === undefined || seal === undefined || seal.endSeq <= EMPTY_LOG_END) return tails;
  return [...tails.filter((tail) => tail.incarnation !== old), { incarnation: old, endSeq: seal.endSeq }];
}
