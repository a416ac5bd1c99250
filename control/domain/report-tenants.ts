import type { Epoch, Incarnation, TenantId } from "../../shared/ids.ts";
import type { ExitRequest, ReportRequest } from "../../shared/protocol/internal.ts";
import type { Op } from "../store/contract.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { tenantKey } from "./keys.ts";
import type { TenantRecord } from "./records.ts";
import { carrying, dueAt, hasContent, raise, settledAt, withoutOwner } from "./tenant-parts.ts";
import { type Decision, type View, draft, put } from "./view.ts";

export type TenantReport = ReportRequest["reports"][number];
export type ReleasedTenant = ExitRequest["released"][number];

/**
 * What a worker says of tenants that it owns; reports of another epoch are stale and ignored. Only `serving` is a transition
 * and audited: positions are bookkeeping, repeated for every tenant all day. @returns how many tenants changed
 */
export function applyReports(
  view: View,
  meta: Meta,
  incarnation: Incarnation,
  reports: readonly TenantReport[],
): Decision<number> {
  const changed = new Map<TenantId, TenantRecord>();
  const serving: TenantId[] = [];
  for (const report of reports) {
    const tenant = changed.get(report.tenant) ?? view.get(tenantKey(report.tenant));
    if (!owns(tenant, incarnation, report.epoch)) continue;
    const next = reported(tenant, report);
    if (next === tenant) continue;
    if (next.state !== tenant.state) serving.push(report.tenant);
    changed.set(report.tenant, { ...next, updated: isoTime(meta.atMs) });
  }
  const entries = serving.length === 0 ? [] : [audit(meta, "tenant.serving", serving.join(" "))];
  return batch(view, changed, entries);
}

/**
 * The owner ended cleanly and everything of these tenants lies under their prefix up to `base`: no owner, no tails, evicted.
 * @returns how many tenants changed
 */
export function releaseTenants(
  view: View,
  meta: Meta,
  incarnation: Incarnation,
  released: readonly ReleasedTenant[],
): Decision<number> {
  const changed = new Map<TenantId, TenantRecord>();
  for (const { tenant: id, epoch, base, dueMs, carried } of released) {
    const tenant = view.get(tenantKey(id));
    if (!owns(tenant, incarnation, epoch)) continue;
    const settled = settledAt({ ...tenant, updated: isoTime(meta.atMs) }, base);
    changed.set(id, withoutOwner(carrying(dueAt(settled, dueMs), carried)));
  }
  return batch(view, changed, [audit(meta, "tenant.release", [...changed.keys()].join(" "))]);
}

function reported(tenant: TenantRecord, report: TenantReport): TenantRecord {
  if (report.kind === "serving") {
    const known = dueAt(tenant, report.dueMs);
    const due = known.carried === undefined ? known : carrying(known, undefined);
    return due.state === "deploying" ? { ...due, state: "active" } : due;
  }
  const base = raise(tenant.base, report.base ?? {});
  const cleared = new Set(report.cleared);
  const tails = tenant.tails.filter((tail) => !cleared.has(tail.incarnation));
  const virgin = tenant.virgin && !hasContent(base);
  const same = base === tenant.base && tails.length === tenant.tails.length && virgin === tenant.virgin;
  return same ? tenant : { ...tenant, base, tails, virgin };
}

function owns(
  tenant: TenantRecord | undefined,
  incarnation: Incarnation,
  epoch: Epoch,
): tenant is TenantRecord {
  return tenant?.owner?.incarnation === incarnation && tenant.epoch === epoch;
}

function batch(view: View, changed: Map<TenantId, TenantRecord>, entries: Op[]): Decision<number> {
  if (changed.size === 0) return { settled: 0 };
  const keys = [...changed.keys()].map(tenantKey);
  const puts = [...changed].map(([id, tenant]) => put(tenantKey(id), tenant));
  return { draft: draft(view, keys, [...puts, ...entries]), value: changed.size };
}
