import type { Slug } from "../../../shared/ids.ts";
import { parseSlug } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { noSuchTenant, tenantBySlug } from "../../domain/find-tenant.ts";
import type { TenantRecord } from "../../domain/records.ts";
import type { Control } from "../../service.ts";

/** The tenant that a path names. @throws UserError `tenant_not_found`, also for what can be no slug at all */
export async function knownTenant({ table, runner }: Control, raw: string): Promise<TenantRecord> {
  let slug: Slug;
  try {
    slug = parseSlug(raw);
  } catch {
    throw noSuchTenant(raw.slice(0, 63));
  }
  const found = tenantBySlug(table, slug);
  if (found !== undefined) return found;
  await runner.confirm(AbortSignal.timeout(limits.controlRequestMs));
  const tenant = tenantBySlug(table, slug);
  if (tenant === undefined) throw noSuchTenant(slug);
  return tenant;
}
