import { UserError } from "../../shared/errors.ts";
import type { Epoch, Slug, TenantId } from "../../shared/ids.ts";
import type { Durability } from "../../shared/protocol/internal.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { idempotencyKey, slugKey, tenantKey } from "./keys.ts";
import type { TenantRecord } from "./records.ts";
import { type Decision, type View, draft, put } from "./view.ts";

export interface CreateTenant {
  meta: Meta;
  /** Random; used only when the tenant is new. */
  id: TenantId;
  slug: Slug;
  durability: Durability;
  region?: string | undefined;
  encrypted?: boolean | undefined;
  storageBytesMax?: number | undefined;
  /** `key` is a digest over caller and Idempotency-Key, `request` one over what was asked. */
  idempotency?: { key: string; request: string };
}

/** Rejects with UserError `slug_taken` or `idempotency_mismatch`. A key used before gives what it made then. */
export function createTenant(view: View, command: CreateTenant): Decision<TenantRecord> {
  const { meta, id, slug, durability, region, encrypted, storageBytesMax, idempotency } = command;
  const memory = idempotency === undefined ? undefined : idempotencyKey(idempotency.key);
  const before = memory === undefined ? undefined : view.get(memory);
  if (before !== undefined && idempotency !== undefined) {
    const made = view.get(tenantKey(before.tenant));
    if (before.request === idempotency.request && made !== undefined) return { settled: made };
    return {
      reject: new UserError(
        "idempotency_mismatch",
        "Cannot create tenant: this Idempotency-Key was used for another request",
        {
          hint: "Use a new key for a new request.",
        },
      ),
    };
  }
  if (view.get(slugKey(slug)) !== undefined) {
    return {
      reject: new UserError("slug_taken", `Cannot create tenant ${slug}: the slug is in use`, {
        details: { fields: { slug: "in use" } },
      }),
    };
  }
  const at = isoTime(meta.atMs);
  const tenant: TenantRecord = {
    id,
    slug,
    state: "created",
    suspended: false,
    durability,
    epoch: 0 as Epoch,
    base: {},
    tails: [],
    virgin: true,
    ...(encrypted === true ? { encrypted } : {}),
    ...(storageBytesMax === undefined ? {} : { storageBytesMax }),
    ...(region === undefined ? {} : { region }),
    created: at,
    updated: at,
  };
  return {
    draft: draft(
      view,
      [slugKey(slug), tenantKey(id), ...(memory === undefined ? [] : [memory])],
      [
        put(slugKey(slug), id),
        put(tenantKey(id), tenant),
        ...(memory === undefined || idempotency === undefined
          ? []
          : [put(memory, { request: idempotency.request, tenant: id, atMs: meta.atMs })]),
        audit(meta, "tenant.create", id, {
          ...{ slug, durability, ...(encrypted === true ? { encrypted } : {}) },
          ...(region === undefined ? {} : { region }),
          ...(storageBytesMax === undefined ? {} : { storageBytesMax }),
        }),
      ],
    ),
    value: tenant,
  };
}
