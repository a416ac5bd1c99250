import type { TenantView } from "../../../shared/protocol/cp.ts";
import type { TenantRecord } from "../../domain/records.ts";
import { routeOf } from "../../domain/route.ts";
import type { View } from "../../domain/view.ts";

/** `worker` only while that worker serves: an owner that died is nobody's address. */
export function tenantView(view: View, tenant: TenantRecord): TenantView {
  const { id, slug, state, suspended, durability, epoch, created, updated } = tenant;
  const worker = routeOf(view, tenant).worker?.incarnation;
  return {
    id,
    slug,
    state,
    suspended,
    durability,
    epoch,
    ...(worker === undefined ? {} : { worker }),
    created,
    updated,
  };
}
