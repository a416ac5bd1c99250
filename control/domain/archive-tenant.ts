import { UserError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import type { StorageClass } from "../../shared/objects/contract.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { tenantKey } from "./keys.ts";
import type { Archive, TenantRecord } from "./records.ts";
import { requireTenant, withoutOwner } from "./tenant-parts.ts";
import { transfer } from "./transfer-tenant.ts";
import { type Decision, type View, draft, put } from "./view.ts";

/*
 * archived: freezing (its worker drops it, then its objects go to the cold class) → frozen → thawing (they come back) → evicted.
 * Thawing may be asked for at any of them. Each arrow is one transaction; the objects move between them, by a sweeper that needs
 * nothing but the record and what the store says of each object.
 */

/**
 * From this revision on routes name no worker. Twice is as once, also with another class. Rejects with UserError `tenant_not_found` or
 * `conflict` (deleted, or being thawed).
 */
export function archiveTenant(
  view: View,
  meta: Meta,
  id: TenantId,
  storageClass: StorageClass,
): Decision<TenantRecord> {
  const tenant = requireTenant(view, id);
  if ("reject" in tenant) return tenant;
  if (tenant.state === "deleted") return conflict(`Cannot archive tenant ${tenant.slug}: it is deleted`);
  if (tenant.archive?.step === "thawing") {
    return conflict(
      `Cannot archive tenant ${tenant.slug}: it is being thawed`,
      "Ask again when that is over.",
    );
  }
  if (tenant.archive !== undefined) return { settled: tenant };
  if (view.branchesOf(id).size > 0) {
    return conflict(
      `Cannot archive tenant ${tenant.slug}: branches read its files`,
      "Detach them first: `manybase tenants detach <branch>`.",
    );
  }
  const leaves = tenant.owner !== undefined && tenant.transfer === undefined;
  const archive: Archive = { at: isoTime(meta.atMs), storageClass, step: "freezing" };
  return change(
    view,
    meta,
    "tenant.archive",
    { storageClass },
    {
      ...tenant,
      state: "archived",
      archive,
      ...(leaves ? { transfer: transfer(meta, "archive") } : {}),
    },
  );
}

/** Its objects are wanted back. Twice is as once. Rejects with UserError `tenant_not_found` or `conflict` (not archived). */
export function thawTenant(view: View, meta: Meta, id: TenantId): Decision<TenantRecord> {
  const tenant = requireTenant(view, id);
  if ("reject" in tenant) return tenant;
  const { archive } = tenant;
  if (archive === undefined || tenant.state !== "archived") {
    return conflict(`Cannot thaw tenant ${tenant.slug}: it is not archived`);
  }
  if (archive.step === "thawing") return { settled: tenant };
  const next: Archive = { ...archive, step: "thawing", since: isoTime(meta.atMs) };
  return change(view, meta, "tenant.thaw", {}, { ...tenant, archive: next });
}

/** All its objects are in the cold class. @returns whether that still counts */
export function finishFreeze(view: View, meta: Meta, id: TenantId): Decision<boolean> {
  const tenant = view.get(tenantKey(id));
  if (tenant?.state !== "archived" || tenant.archive?.step !== "freezing") return { settled: false };
  const next: TenantRecord = { ...tenant, archive: { ...tenant.archive, step: "frozen" } };
  return decided(change(view, meta, "tenant.frozen", {}, next));
}

/** All its objects can be read again: its next request finds a worker. @returns whether that still counts */
export function finishThaw(view: View, meta: Meta, id: TenantId): Decision<boolean> {
  const tenant = view.get(tenantKey(id));
  // While it still has an owner it is on its way to nobody, and ends as archived without one.
  if (tenant?.state !== "archived" || tenant.archive?.step !== "thawing" || tenant.owner !== undefined) {
    return { settled: false };
  }
  const { archive: _, ...rest } = tenant;
  return decided(change(view, meta, "tenant.thawed", {}, withoutOwner({ ...rest, state: "evicted" })));
}

function change(
  view: View,
  meta: Meta,
  action: string,
  details: Record<string, unknown>,
  tenant: TenantRecord,
): { draft: ReturnType<typeof draft>; value: TenantRecord } {
  const next = { ...tenant, updated: isoTime(meta.atMs) };
  const key = tenantKey(tenant.id);
  return {
    draft: draft(view, [key], [put(key, next), audit(meta, action, tenant.id, details)]),
    value: next,
  };
}

function decided(made: { draft: ReturnType<typeof draft> }): Decision<boolean> {
  return { draft: made.draft, value: true };
}

function conflict(message: string, hint?: string): { reject: UserError } {
  return { reject: new UserError("conflict", message, hint === undefined ? {} : { hint }) };
}
