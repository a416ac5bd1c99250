import { SystemError, UserError } from "../../shared/errors.ts";
import type { Incarnation, TenantId } from "../../shared/ids.ts";
import type { CarriedState, Due, Positions } from "../../shared/protocol/internal.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { sealKey, tenantKey, workerKey } from "./keys.ts";
import type { TenantRecord, Transfer, TransferReason } from "./records.ts";
import {
  carrying,
  dueAt,
  isClosed,
  ownedBy,
  requireTenant,
  settledAt,
  withTail,
  withoutOwner,
} from "./tenant-parts.ts";
import { type Decision, type View, draft, put } from "./view.ts";
import { serves } from "./worker-states.ts";

/*
 * A tenant's way from its owner to another worker or to nobody, in two transactions with the owner's release between them:
 * begin (the intent; only after it may the owner be asked) and finish or give-back. Whoever leads goes on from the record.
 */

export interface BeginTransfer {
  meta: Meta;
  id: TenantId;
  /** Absent: to nobody. The owner itself: it loads anew. */
  to?: Incarnation;
  why: TransferReason;
}

/**
 * Commits the intent. @returns the tenant on its way; without `transfer` when nobody has it and it is to go to nobody
 *
 * Rejects with UserError `tenant_not_found`, `conflict` (on its way already, closed, nobody's, or the target takes no tenants);
 * SystemError `tenant_moving` when its owner is being taken over from.
 */
export function beginTransfer(view: View, command: BeginTransfer): Decision<TenantRecord> {
  const { meta, id, to, why } = command;
  const tenant = requireTenant(view, id);
  if ("reject" in tenant) return tenant;
  const { owner, slug } = tenant;
  if (tenant.transfer !== undefined) {
    return conflict(`Cannot move tenant ${slug}: it is on its way already`, "Ask again in a moment.");
  }
  if (owner === undefined) {
    if (to === undefined) return { settled: tenant };
    return conflict(
      `Cannot move tenant ${slug}: no worker has it`,
      "Its next request finds the emptiest worker.",
    );
  }
  if (to !== undefined && isClosed(tenant)) {
    return conflict(`Cannot move tenant ${slug}: it is suspended or deleted`);
  }
  if (!serves(view.get(workerKey(owner.incarnation)))) {
    return {
      reject: new SystemError("tenant_moving", `Cannot move tenant ${slug}: its worker is gone`, {
        hint: "Its next request takes it over.",
        retryAfterMs: 1000,
      }),
    };
  }
  if (to !== undefined && to !== owner.incarnation && view.get(workerKey(to))?.state !== "live") {
    return conflict(`Cannot move tenant ${slug} to worker ${to}: it takes no tenants`);
  }
  if (to === owner.incarnation && why !== "update") {
    return conflict(`Cannot move tenant ${slug} to worker ${to}: it is there already`);
  }
  const next: TenantRecord = {
    ...tenant,
    transfer: transfer(meta, why, to),
    updated: isoTime(meta.atMs),
  };
  return {
    draft: draft(view, compared(id, owner.incarnation, to), [
      put(tenantKey(id), next),
      audit(meta, "tenant.transfer", id, {
        why,
        from: owner.incarnation,
        ...(to === undefined ? {} : { to }),
        epoch: tenant.epoch,
      }),
    ]),
    value: next,
  };
}

/** The part of a record that a change of something else adds when the tenant is to leave its owner as well. */
export function transfer(meta: Meta, why: TransferReason, to?: Incarnation): Transfer {
  return { id: meta.id, why, started: isoTime(meta.atMs), ...(to === undefined ? {} : { to }) };
}

/**
 * The owner has released it and `base` is where everything of it lies: gives it to the target under the next epoch, to nobody, or,
 * when the target takes no tenants any more, back to the owner. Settled when this transfer is over.
 */
export function finishTransfer(
  view: View,
  meta: Meta,
  id: TenantId,
  transferId: string,
  base: Positions,
  handed: { dueMs?: Due; carried?: CarriedState | undefined } = {},
): Decision<TenantRecord | undefined> {
  const tenant = view.get(tenantKey(id));
  if (tenant?.transfer?.id !== transferId || tenant.owner === undefined) return { settled: tenant };
  const source = tenant.owner.incarnation;
  const { to } = tenant.transfer;
  const target = isClosed(tenant) ? undefined : newOwner(view, source, to);
  const known = dueAt(settledAt({ ...tenant, updated: isoTime(meta.atMs) }, base), handed.dueMs);
  const settled = carrying(known, handed.carried);
  const next = target === undefined ? withoutOwner(settled) : ownedBy(settled, target);
  const action = target === undefined ? "tenant.evict" : target === to ? "tenant.move" : "tenant.give-back";
  return {
    draft: draft(view, compared(id, source, to), [
      put(tenantKey(id), next),
      audit(meta, action, id, {
        why: tenant.transfer.why,
        from: source,
        ...(target === undefined ? {} : { to: target }),
        epoch: next.epoch,
      }),
    ]),
    value: next,
  };
}

/**
 * The owner could not release it, as far as is known: it keeps the tenant, under the next epoch, because under this one it may have
 * released it after all. Settled when this transfer is over or the tenant must not stay.
 */
export function giveBack(
  view: View,
  meta: Meta,
  id: TenantId,
  transferId: string,
  reason: string,
): Decision<boolean> {
  const tenant = view.get(tenantKey(id));
  if (tenant?.transfer?.id !== transferId || tenant.owner === undefined) return { settled: false };
  const source = tenant.owner.incarnation;
  if (isClosed(tenant) || !serves(view.get(workerKey(source)))) return { settled: false };
  const next = ownedBy({ ...tenant, updated: isoTime(meta.atMs) }, source);
  return {
    draft: draft(view, compared(id, source, undefined), [
      put(tenantKey(id), next),
      audit(meta, "tenant.give-back", id, {
        why: tenant.transfer.why,
        to: source,
        epoch: next.epoch,
        reason,
      }),
    ]),
    value: true,
  };
}

/** The owner died before it was heard to release: its sealed log becomes a tail, and the tenant is nobody's. */
export function leaveSealedOwner(
  view: View,
  meta: Meta,
  id: TenantId,
  transferId: string,
): Decision<boolean> {
  const tenant = view.get(tenantKey(id));
  if (tenant?.transfer?.id !== transferId || tenant.owner === undefined) return { settled: false };
  const source = tenant.owner.incarnation;
  const seal = view.get(sealKey(source));
  if (seal === undefined) return { settled: false };
  const next = withoutOwner({
    ...tenant,
    tails: withTail(tenant, source, seal),
    updated: isoTime(meta.atMs),
  });
  return {
    draft: draft(
      view,
      [tenantKey(id), workerKey(source), sealKey(source)],
      [
        put(tenantKey(id), next),
        audit(meta, "tenant.evict", id, { why: tenant.transfer.why, from: source, sealed: seal.endSeq }),
      ],
    ),
    value: true,
  };
}

function newOwner(view: View, source: Incarnation, to: Incarnation | undefined): Incarnation | undefined {
  if (to === undefined) return undefined;
  if (to === source) return serves(view.get(workerKey(source))) ? source : undefined;
  if (view.get(workerKey(to))?.state === "live") return to;
  return view.get(workerKey(source))?.state === "live" ? source : undefined;
}

function compared(id: TenantId, source: Incarnation, to: Incarnation | undefined): string[] {
  return [
    ...new Set([tenantKey(id), workerKey(source), ...(to === undefined ? [] : [workerKey(to)])] as string[]),
  ];
}

function conflict(message: string, hint?: string): { reject: UserError } {
  return { reject: new UserError("conflict", message, hint === undefined ? {} : { hint }) };
}
