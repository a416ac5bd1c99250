import { UserError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { domainKey, slugKey, tenantKey } from "./keys.ts";
import type { TenantRecord } from "./records.ts";
import { requireTenant, withoutOwner } from "./tenant-parts.ts";
import { transfer } from "./transfer-tenant.ts";
import { type Decision, type View, draft, put, remove } from "./view.ts";

/*
 * deleted (recoverable, slug kept) → purging (objects go, nothing brings it back) → no record, slug free. Each arrow is one
 * transaction; removing the objects lies between the last two and is done again until nothing is listed.
 */

/** Soft: its worker drops it, its objects stay for `retainMs`. Twice is as once. Rejects with UserError `tenant_not_found`. */
export function deleteTenant(view: View, meta: Meta, id: TenantId, retainMs: number): Decision<TenantRecord> {
  const tenant = requireTenant(view, id);
  if ("reject" in tenant) return tenant;
  if (tenant.state === "deleted") return { settled: tenant };
  const leaves = tenant.owner !== undefined && tenant.transfer === undefined;
  const deletion = { at: isoTime(meta.atMs), until: isoTime(meta.atMs + retainMs) };
  const next: TenantRecord = {
    ...tenant,
    state: "deleted",
    deletion,
    ...(leaves ? { transfer: transfer(meta, "delete") } : {}),
    updated: deletion.at,
  };
  return {
    draft: draft(
      view,
      [tenantKey(id)],
      [put(tenantKey(id), next), audit(meta, "tenant.delete", id, { slug: tenant.slug, ...deletion })],
    ),
    value: next,
  };
}

/** Rejects with UserError `tenant_not_found`, or `conflict` when it is not deleted or its objects may be gone. */
export function recoverTenant(view: View, meta: Meta, id: TenantId): Decision<TenantRecord> {
  const tenant = requireTenant(view, id);
  if ("reject" in tenant) return tenant;
  if (tenant.state !== "deleted") {
    return { reject: new UserError("conflict", `Cannot recover tenant ${tenant.slug}: it is not deleted`) };
  }
  if (tenant.deletion?.purging === true) {
    return {
      reject: new UserError("conflict", `Cannot recover tenant ${tenant.slug}: it is being purged`),
    };
  }
  const { deletion: _, ...kept } = tenant;
  const state = tenant.archive === undefined ? "active" : "archived";
  const open: TenantRecord = { ...kept, state, updated: isoTime(meta.atMs) };
  const next = tenant.owner === undefined ? withoutOwner(open) : open;
  return {
    draft: draft(view, [tenantKey(id)], [put(tenantKey(id), next), audit(meta, "tenant.recover", id)]),
    value: next,
  };
}

/** Whether the retention is over and nobody holds the tenant, so that its objects may go. */
export function mayPurge(tenant: TenantRecord, nowMs: number): boolean {
  const { deletion, owner } = tenant;
  return deletion !== undefined && owner === undefined && Date.parse(deletion.until) <= nowMs;
}

/** From here on nothing brings it back. @returns whether its objects may be removed now */
export function beginPurge(view: View, meta: Meta, id: TenantId): Decision<boolean> {
  const tenant = view.get(tenantKey(id));
  if (tenant?.deletion === undefined || !mayPurge(tenant, meta.atMs)) return { settled: false };
  if (tenant.deletion.purging === true) return { settled: true };
  // None can come any more: a branch is made only of a tenant that is not deleted.
  if (view.branchesOf(id).size > 0) return { settled: false };
  const next: TenantRecord = { ...tenant, deletion: { ...tenant.deletion, purging: true } };
  return {
    draft: draft(view, [tenantKey(id)], [put(tenantKey(id), next), audit(meta, "tenant.purge", id)]),
    value: true,
  };
}

/** Its objects are gone: forgets it, and its slug is free. */
export function finishPurge(view: View, meta: Meta, id: TenantId): Decision<boolean> {
  const tenant = view.get(tenantKey(id));
  if (tenant?.deletion?.purging !== true) return { settled: false };
  const names = [...(tenant.domains ?? []), ...(tenant.domainClaims ?? [])];
  // A claim that ran out may be another tenant's by now.
  const own = names.map((name) => domainKey(name)).filter((key) => view.get(key)?.tenant === id);
  const keys = [tenantKey(id), slugKey(tenant.slug), ...own];
  return {
    draft: draft(view, keys, [
      ...keys.map((key) => remove(key)),
      audit(meta, "tenant.purged", id, { slug: tenant.slug }),
    ]),
    value: true,
  };
}
