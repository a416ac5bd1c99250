import type { Epoch, Incarnation, TenantId } from "../../shared/ids.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { tenantKey } from "./keys.ts";
import type { TenantRecord } from "./records.ts";
import { type Decision, type View, draft, put } from "./view.ts";

export interface Use {
  tenant: TenantId;
  epoch: Epoch;
  state: "active" | "idle";
}

/** `active ⇄ idle` as a worker's list shows it; what is said of another ownership is stale. @returns how many changed */
export function markUse(
  view: View,
  meta: Meta,
  incarnation: Incarnation,
  uses: readonly Use[],
): Decision<number> {
  const changed: TenantRecord[] = [];
  for (const { tenant: id, epoch, state } of uses) {
    const tenant = view.get(tenantKey(id));
    if (tenant?.owner?.incarnation !== incarnation || tenant.epoch !== epoch) continue;
    const other = tenant.state === "active" || tenant.state === "idle";
    if (other && tenant.state !== state) changed.push({ ...tenant, state, updated: isoTime(meta.atMs) });
  }
  if (changed.length === 0) return { settled: 0 };
  const entries = (["active", "idle"] as const).flatMap((state) => {
    const ids = changed.filter((tenant) => tenant.state === state).map(({ id }) => id);
    return ids.length === 0
      ? []
      : [audit({ ...meta, id: `${meta.id}${state}` }, `tenant.${state}`, ids.join(" "))];
  });
  const keys = changed.map(({ id }) => tenantKey(id));
  const puts = changed.map((tenant) => put(tenantKey(tenant.id), tenant));
  return { draft: draft(view, keys, [...puts, ...entries]), value: changed.length };
}
