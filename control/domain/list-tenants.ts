import type { TenantId } from "../../shared/ids.ts";
import type { ReplicatedStore } from "../store/contract.ts";
import { PREFIXES, tenantKey } from "./keys.ts";
import type { TenantRecord } from "./records.ts";
import type { View } from "./view.ts";

const SCAN_ROWS = 1_000;

export interface TenantQuery {
  /** Part of the slug or the id. */
  search?: string;
  limit: number;
  /** Only slugs after this one. */
  after?: string;
}

/** Tenants by slug in byte order; `next` is the `after` of the next page. */
export async function listTenants(
  store: ReplicatedStore,
  view: View,
  query: TenantQuery,
): Promise<{ tenants: TenantRecord[]; next?: string }> {
  const search = query.search?.toLowerCase() ?? "";
  const tenants: TenantRecord[] = [];
  let from = query.after === undefined ? undefined : PREFIXES.slug + query.after;
  do {
    const page = await store.range(PREFIXES.slug, {
      limit: SCAN_ROWS,
      ...(from === undefined ? {} : { from }),
    });
    for (const { value } of page.kvs) {
      const tenant = view.get(tenantKey(value as TenantId));
      if (tenant === undefined || !(tenant.slug.includes(search) || tenant.id.includes(search))) continue;
      const last = tenants.at(-1);
      if (tenants.length === query.limit && last !== undefined) return { tenants, next: last.slug };
      tenants.push(tenant);
    }
    from = page.next;
  } while (from !== undefined);
  return { tenants };
}
