import { UserError } from "../../shared/errors.ts";
import type { Slug, TenantId } from "../../shared/ids.ts";
import type { Durability } from "../../shared/protocol/internal.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { slugKey, tenantKey } from "./keys.ts";
import type { TenantRecord } from "./records.ts";
import { isClosed, requireTenant } from "./tenant-parts.ts";
import { transfer } from "./transfer-tenant.ts";
import { type Decision, type View, draft, put, remove } from "./view.ts";

export interface UpdateTenant {
  meta: Meta;
  id: TenantId;
  slug?: Slug;
  durability?: Durability;
}

/**
 * Its worker loads it anew, because a loaded tenant has both from its assignment. Rejects with UserError `tenant_not_found`,
 * `slug_taken`, or `conflict` (deleted).
 */
export function updateTenant(view: View, command: UpdateTenant): Decision<TenantRecord> {
  const { meta, id } = command;
  const tenant = requireTenant(view, id);
  if ("reject" in tenant) return tenant;
  const slug = command.slug ?? tenant.slug;
  const durability = command.durability ?? tenant.durability;
  if (slug === tenant.slug && durability === tenant.durability) return { settled: tenant };
  if (tenant.state === "deleted") {
    return { reject: new UserError("conflict", `Cannot change tenant ${tenant.slug}: it is deleted`) };
  }
  const renamed = slug !== tenant.slug;
  if (renamed && view.get(slugKey(slug)) !== undefined) {
    return {
      reject: new UserError("slug_taken", `Cannot rename tenant ${tenant.slug}: ${slug} is in use`, {
        details: { fields: { slug: "in use" } },
      }),
    };
  }
  const { owner } = tenant;
  const reloads = owner !== undefined && tenant.transfer === undefined && !isClosed(tenant);
  const next: TenantRecord = {
    ...tenant,
    slug,
    durability,
    ...(reloads ? { transfer: transfer(meta, "update", owner.incarnation) } : {}),
    updated: isoTime(meta.atMs),
  };
  const slugs = renamed ? [slugKey(tenant.slug), slugKey(slug)] : [];
  return {
    draft: draft(
      view,
      [tenantKey(id), ...slugs],
      [
        put(tenantKey(id), next),
        ...(renamed ? [remove(slugKey(tenant.slug)), put(slugKey(slug), id)] : []),
        audit(meta, "tenant.update", id, {
          ...(renamed ? { slug, from: tenant.slug } : {}),
          ...(durability === tenant.durability ? {} : { durability }),
        }),
      ],
    ),
    value: next,
  };
}
