import { UserError } from "../../shared/errors.ts";
import type { Slug } from "../../shared/ids.ts";
import type { FindRequest } from "../../shared/protocol/internal.ts";
import { domainKey, slugKey, tenantKey } from "./keys.ts";
import type { TenantRecord } from "./records.ts";
import type { View } from "./view.ts";

export function tenantBySlug(view: View, slug: Slug): TenantRecord | undefined {
  const id = view.get(slugKey(slug));
  return id === undefined ? undefined : view.get(tenantKey(id));
}

/** By slug, or by a custom host name that was verified. */
export function findTenant(view: View, request: FindRequest): TenantRecord | undefined {
  if ("slug" in request) return tenantBySlug(view, request.slug);
  const domain = view.get(domainKey(request.host));
  return domain?.verified === undefined ? undefined : view.get(tenantKey(domain.tenant));
}

export function noSuchTenant(slug: string): UserError {
  return new UserError("tenant_not_found", `Cannot find tenant ${slug}: there is none of that name`);
}
