import { createHash } from "node:crypto";
import { z } from "zod";
import { SystemError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import {
  durabilitySchema,
  positionsSchema,
  slugSchema,
  tenantIdSchema,
} from "../../shared/protocol/internal.ts";
import type { TenantRecord } from "../domain/records.ts";

/** What a metadata record keeps of a tenant: everything but where it is served and how far it has come, which the logs tell. */
export type KeptTenant = Omit<
  TenantRecord,
  "epoch" | "owner" | "base" | "tails" | "transfer" | "updated" | "dueMs" | "carried"
>;

export interface TenantMetadata {
  cluster: string;
  tenant: TenantId;
  /** Absent: the tenant was purged. */
  kept?: KeptTenant;
  /** As control knew them then: lower bounds. */
  epoch: number;
  base: TenantRecord["base"];
}

const schema = z.object({
  version: z.literal(1),
  cluster: z.string().min(1),
  tenant: tenantIdSchema,
  kept: z
    .looseObject({
      id: tenantIdSchema,
      slug: slugSchema,
      state: z.string(),
      suspended: z.boolean(),
      durability: durabilitySchema,
      virgin: z.boolean(),
      created: z.string(),
    })
    .optional(),
  epoch: z.number().int().min(0),
  base: positionsSchema,
});

/**
 * Named by what it leaves out, so that whatever else a record learns to say survives. Being served, idle or evicted are one state here.
 */
export function keptOf(tenant: TenantRecord): KeptTenant {
  // When it is due changes with every run of a job: its next load tells it anew.
  const {
    epoch: _,
    owner: _o,
    base: _b,
    tails: _t,
    transfer: _x,
    updated: _u,
    dueMs: _d,
    carried: _c,
    ...rest
  } = tenant;
  const lasting = rest.state === "deleted" || rest.state === "archived";
  return { ...rest, state: lasting ? rest.state : "evicted" };
}

/** Equal for equal content, whatever the order of its fields. */
export function digestOf(kept: KeptTenant): string {
  return createHash("sha256").update(canonical(kept)).digest("base64url").slice(0, 22);
}

export function encodeMetadata(metadata: TenantMetadata): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify({ version: 1, ...metadata })}\n`);
}

/** @throws SystemError `object_corrupt`, `object_version`, `object_foreign` (another tenant's) */
export function decodeMetadata(key: string, tenant: TenantId, bytes: Uint8Array): TenantMetadata {
  let raw: unknown;
  try {
    raw = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw unreadable(key, cause);
  }
  const version = typeof raw === "object" && raw !== null && "version" in raw ? raw.version : undefined;
  if (typeof version === "number" && version > 1) {
    throw new SystemError("object_version", `Cannot read ${key}: its version is ${version}`, {
      hint: "A later version of Manybase wrote it: run that version. Nothing was deleted.",
    });
  }
  const parsed = schema.safeParse(raw);
  if (!parsed.success) throw unreadable(key, parsed.error);
  const { cluster, kept, epoch, base } = parsed.data;
  if (parsed.data.tenant !== tenant || (kept !== undefined && kept.id !== tenant)) {
    throw new SystemError("object_foreign", `Cannot use ${key}: it is about tenant ${parsed.data.tenant}`);
  }
  const record = kept === undefined ? {} : { kept: kept as unknown as KeptTenant };
  return { cluster, tenant, ...record, epoch, base };
}

const unreadable = (key: string, cause: unknown): SystemError =>
  new SystemError("object_corrupt", `Cannot read ${key}: it is no metadata record`, {
    cause,
    hint: "Put the original back from the bucket's versions, or move the object away: then the record before it counts. Nothing was deleted.",
  });

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
