import { UserError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { tenantKey } from "./keys.ts";
import type { TenantRecord } from "./records.ts";
import { requireTenant } from "./tenant-parts.ts";
import { transfer } from "./transfer-tenant.ts";
import { type Decision, type View, draft, put } from "./view.ts";

/**
 * From this revision on routes name no worker; its worker drops it. Twice is as once. Rejects with UserError `tenant_not_found` or
 * `conflict` (deleted).
 */
export function suspendTenant(view: View, meta: Meta, id: TenantId): Decision<TenantRecord> {
  const tenant = requireTenant(view, id);
  if ("reject" in tenant) return tenant;
  if (tenant.suspended) return { settled: tenant };
  if (tenant.state === "deleted") {
    return { reject: new UserError("conflict", `Cannot suspend tenant ${tenant.slug}: it is deleted`) };
  }
  const leaves = tenant.owner !== undefined && tenant.transfer === undefined;
  return change(view, meta, "tenant.suspend", {
    ...tenant,
    suspended: true,
    ...(leaves ? { transfer: transfer(meta, "suspend") } : {}),
  });
}

/** Its next request finds a worker. Rejects with UserError `tenant_not_found`. */
export function resumeTenant(view: View, meta: Meta, id: TenantId): Decision<TenantRecord> {
  const tenant = requireTenant(view, id);
  if ("reject" in tenant) return tenant;
  if (!tenant.suspended) return { settled: tenant };
  return change(view, meta, "tenant.resume", { ...tenant, suspended: false });
}

function change(view: View, meta: Meta, action: string, tenant: TenantRecord): Decision<TenantRecord> {
  const next = { ...tenant, updated: isoTime(meta.atMs) };
  const key = tenantKey(tenant.id);
  return { draft: draft(view, [key], [put(key, next), audit(meta, action, tenant.id)]), value: next };
}
