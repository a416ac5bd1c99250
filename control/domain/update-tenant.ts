import { UserError } from "../../shared/errors.ts";
import type { Slug, TenantId } from "../../shared/ids.ts";
import type { ChangeLimits } from "../../shared/protocol/cp.ts";
import type { Durability, RouteLimits } from "../../shared/protocol/internal.ts";
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
  limits?: ChangeLimits;
  /** null: none any more. Where it is now it stays until it moves for another reason. */
  region?: string | null;
  /** null: no quota any more. */
  storageBytesMax?: number | null;
}

/**
 * Its worker loads it anew when slug, durability or quota change, because a loaded tenant has them from its assignment; limits are the gateways'. Rejects with UserError `tenant_not_found`,
 * `slug_taken`, or `conflict` (deleted).
 */
export function updateTenant(view: View, command: UpdateTenant): Decision<TenantRecord> {
  const { meta, id } = command;
  const tenant = requireTenant(view, id);
  if ("reject" in tenant) return tenant;
  const slug = command.slug ?? tenant.slug;
  const durability = command.durability ?? tenant.durability;
  const bounds = merged(tenant.limits ?? {}, command.limits);
  const storageBytesMax =
    command.storageBytesMax === undefined ? tenant.storageBytesMax : (command.storageBytesMax ?? undefined);
  const loaded =
    slug !== tenant.slug || durability !== tenant.durability || storageBytesMax !== tenant.storageBytesMax;
  const region = command.region === undefined ? tenant.region : (command.region ?? undefined);
  if (!loaded && bounds === undefined && region === tenant.region) return { settled: tenant };
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
  const reloads = loaded && owner !== undefined && tenant.transfer === undefined && !isClosed(tenant);
  const { limits: before, region: _, storageBytesMax: __, ...rest } = tenant;
  const now = bounds ?? before ?? {};
  const next: TenantRecord = {
    ...rest,
    slug,
    durability,
    ...(Object.keys(now).length === 0 ? {} : { limits: now }),
    ...(region === undefined ? {} : { region }),
    ...(storageBytesMax === undefined ? {} : { storageBytesMax }),
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
          ...(bounds === undefined ? {} : { limits: bounds }),
          ...(region === tenant.region ? {} : { region: region ?? null }),
          ...(storageBytesMax === tenant.storageBytesMax ? {} : { storageBytesMax: storageBytesMax ?? null }),
        }),
      ],
    ),
    value: next,
  };
}

/** Undefined when nothing changes. */
function merged(known: RouteLimits, change: ChangeLimits | undefined): RouteLimits | undefined {
  const next = Object.fromEntries(
    Object.entries({ ...known, ...change }).filter(([, value]) => value !== null && value !== undefined),
  ) as RouteLimits;
  const names = new Set([...Object.keys(known), ...Object.keys(next)]) as Set<keyof RouteLimits>;
  return [...names].every((name) => known[name] === next[name]) ? undefined : next;
}
