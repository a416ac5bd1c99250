import { UserError } from "../../shared/errors.ts";
import type { Slug } from "../../shared/ids.ts";
import { slugKey, tenantKey } from "./keys.ts";
import type { TenantRecord } from "./records.ts";
import type { View } from "./view.ts";

export function tenantBySlug(view: View, slug: Slug): TenantRecord | undefined {
  const id = view.get(slugKey(slug));
  return id === undefined ? undefined : view.get(tenantKey(id));
}

export function noSuchTenant(slug: string): UserError {
  return new UserError("tenant_not_found", `Cannot find tenant ${slug}: there is none of that name`);
}
