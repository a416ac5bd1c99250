/**
 * The operators' API, `/api/cp/*` on the `admin.` host, `Authorization: Bearer <operator token>`.
 *
 *   GET    /api/cp/openapi.json                             → every operation with its schemas; needs no token
 *   GET    /api/cp/health                                   → Health
 *   GET    /api/cp/metrics                                  → Prometheus text
 *   GET    /api/cp/audit?limit=&before=&subject=&action=&who= → {entries: AuditEntry[], next?}, newest first
 *   GET    /api/cp/members                                  → {members}
 *   POST   /api/cp/members {id, url}                        → {members}; then start it with --join
 *   DELETE /api/cp/members/<id>                             → {members}
 *   POST   /api/cp/members/<id>/lead                        → {members}
 *   POST   /api/cp/tenants              CreateTenant        → 201 TenantView
 *   GET    /api/cp/tenants?search=&limit=&after=            → {tenants: TenantView[], next?: slug}
 *   GET    /api/cp/tenants/<slug>                           → TenantView
 *   PATCH  /api/cp/tenants/<slug>       UpdateTenant        → TenantView
 *   DELETE /api/cp/tenants/<slug>?retainSeconds=            → TenantView
 *   POST   /api/cp/tenants/<slug>/suspend, resume, recover  → TenantView
 *   POST   /api/cp/tenants/<slug>/move  MoveTenant          → TenantView; 202 while it is still on its way
 *   POST   /api/cp/tenants/<slug>/evict                     → TenantView; 202 as above
 *   POST   /api/cp/tenants/<slug>/archive {storageClass?}   → TenantView; its objects move in the background
 *   POST   /api/cp/tenants/<slug>/thaw                      → TenantView; evicted when all its objects are back
 *   GET    /api/cp/tenants/<slug>/points                    → Points
 *   POST   /api/cp/tenants/<slug>/restore RestoreRequest    → RestoreReport
 *   POST   /api/cp/tenants/<slug>/branches CreateBranch     → 201 {tenant: TenantView, point, exact, next?}
 *   POST   /api/cp/tenants/<slug>/detach                    → TenantView
 *   POST   /api/cp/tenants/<slug>/tickets {action}          → {ticket, expiresMs, path}
 *   POST   /api/cp/tenants/<slug>/superusers {email, password, resetMfa?} → {id, email, created}
 *   POST   /api/cp/tenants/<slug>/installer                 → {token, expiresMs}: makes the first superuser
 *   GET    /api/cp/tenants/<slug>/domains                   → {domains: DomainView[]}
 *   POST   /api/cp/tenants/<slug>/domains {domain}          → 201 DomainView: the TXT record to set
 *   POST   /api/cp/tenants/<slug>/domains/<domain>/verify   → DomainView
 *   DELETE /api/cp/tenants/<slug>/domains/<domain>          → DomainView
 *   GET    /api/cp/workers                                  → {workers: WorkerView[]}
 *   GET    /api/cp/workers/<incarnation>                    → WorkerView
 *   POST   /api/cp/workers/<incarnation>/drain              → WorkerView
 *   DELETE /api/cp/workers/<incarnation>?force=             → {removed: boolean}
 *   POST   /api/cp/tokens               CreateToken         → 201 TokenView with `token`, shown only here
 *   GET    /api/cp/tokens                                   → {tokens: TokenView[]}
 *   DELETE /api/cp/tokens/<id>                              → TokenView
 *
 * Errors are `errorResponse` bodies. Creates take an `Idempotency-Key` header.
 */
import { z } from "zod";
import { limits } from "../limits.ts";
import {
  TICKET_ACTIONS,
  durabilitySchema,
  incarnationSchema,
  routeLimitsSchema,
  slugSchema,
  tenantIdSchema,
  tenantStateSchema,
} from "./internal.ts";
import { restorablePointSchema } from "./points.ts";

/** As workers name theirs by `--region`. */
const regionSchema = z.string().trim().min(1).max(64);

const storageBytesSchema = z.number().int().positive();

export const createTenantSchema = z.object({
  slug: slugSchema,
  durability: durabilitySchema.default("durable"),
  /** At rest in object storage, from its creation on or never; absent: as control's --encrypt-tenants says. */
  encrypted: z.boolean().optional(),
  /** Where it is placed as long as a worker there has room. */
  region: regionSchema.optional(),
  /** Most bytes of databases and uploads together; null: no quota; absent: as control's --storage-quota says. */
  storageBytesMax: storageBytesSchema.nullable().optional(),
});
export type CreateTenant = z.infer<typeof createTenantSchema>;

/** Bounds to set; null takes one away, so that the gateway's own counts again. What is not named stays. */
export const changeLimitsSchema = z.strictObject({
  requestsPerSecond: z.number().positive().max(1_000_000).nullable().optional(),
  concurrentRequests: z.number().int().positive().max(1_000_000).nullable().optional(),
  bodyBytes: z.number().int().positive().max(limits.importBytesMax).nullable().optional(),
});
export type ChangeLimits = z.infer<typeof changeLimitsSchema>;

export const updateTenantSchema = z
  .object({
    slug: slugSchema.optional(),
    durability: durabilitySchema.optional(),
    limits: changeLimitsSchema.optional(),
    /** null: none any more. */
    region: regionSchema.nullable().optional(),
    /** null: no quota any more. */
    storageBytesMax: storageBytesSchema.nullable().optional(),
  })
  .refine((change) => Object.values(change).some((value) => value !== undefined), {
    message: "nothing to change: give slug, durability, limits, region or storageBytesMax",
  });

/** Without a worker: to the emptiest other one. */
export const moveTenantSchema = z.object({ worker: incarnationSchema.optional() });

/** Cold storage classes, from dear and near to cheap and far. */
export const ARCHIVE_CLASSES = ["STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"] as const;
/** Without a class: the platform's default one. */
export const archiveTenantSchema = z.object({ storageClass: z.enum(ARCHIVE_CLASSES).optional() });

export const tenantViewSchema = z.object({
  id: tenantIdSchema,
  slug: slugSchema,
  state: tenantStateSchema,
  suspended: z.boolean(),
  durability: durabilitySchema,
  /** Present when its objects are encrypted. */
  encrypted: z.literal(true).optional(),
  epoch: z.number(),
  /** Who serves it now. */
  worker: incarnationSchema.optional(),
  /** On its way to another worker, or without `to` to nobody. */
  moving: z.object({ to: incarnationSchema.optional(), why: z.string(), since: z.string() }).optional(),
  /** A branch that still reads of this tenant's files. */
  origin: tenantIdSchema.optional(),
  /** Recoverable until then, unless it is being purged. */
  deleted: z.object({ at: z.string(), until: z.string(), purging: z.boolean() }).optional(),
  /** Its objects are in a cold storage class, or on their way there or back. */
  archive: z
    .object({
      at: z.string(),
      storageClass: z.string(),
      step: z.enum(["freezing", "frozen", "thawing"]),
      since: z.string().optional(),
    })
    .optional(),
  region: z.string().optional(),
  /** Most bytes of databases and uploads together; absent: no quota. */
  storageBytesMax: storageBytesSchema.optional(),
  /** What gateways enforce for it where it differs from their own. */
  limits: routeLimitsSchema.optional(),
  /** Verified custom host names. */
  domains: z.array(z.string()).optional(),
  created: z.string(),
  updated: z.string(),
});
export type TenantView = z.infer<typeof tenantViewSchema>;

/** A new branch and where it begins; without the point when the same request had made it before. */
export const branchViewSchema = z.object({
  tenant: tenantViewSchema,
  point: restorablePointSchema.optional(),
  /** False: the state at the asked time is not kept any more, `point` is the newest kept one before it, `next` the one after. */
  exact: z.boolean().optional(),
  next: restorablePointSchema.optional(),
});

export const addDomainSchema = z.object({ domain: z.string().min(1).max(1_024) });
/** `record` is what its owner sets in DNS; a pending domain serves nobody. */
export const domainViewSchema = z.object({
  domain: z.string(),
  state: z.enum(["pending", "verified"]),
  record: z.object({ name: z.string(), type: z.literal("TXT"), value: z.string() }),
  created: z.string(),
  verified: z.string().optional(),
});
export type DomainView = z.infer<typeof domainViewSchema>;

export const workerViewSchema = z.object({
  incarnation: incarnationSchema,
  url: z.string(),
  state: z.enum(["live", "draining", "dead", "sealed", "exited"]),
  tenants: z.number(),
  region: z.string().optional(),
  version: z.string(),
  registered: z.string(),
  /** Since the last beat, by control's clock; absent for workers that are gone. */
  lastBeatMs: z.number().optional(),
  /** Since when an operator wants it empty. */
  drain: z.string().optional(),
  /** As of its last beat. */
  load: z
    .object({
      tenants: z.number(),
      rssBytes: z.number(),
      memoryBytes: z.number().optional(),
      busyRatio: z.number().optional(),
    })
    .optional(),
});
export type WorkerView = z.infer<typeof workerViewSchema>;

/** `workers` counts by state; `wanted` is known to the leading replica. */
export const healthSchema = z.object({
  status: z.literal("ok"),
  revision: z.number(),
  leading: z.boolean(),
  tenants: z.record(z.string(), z.number()),
  moving: z.number(),
  workers: z.record(z.string(), z.number()),
  /** The release of the replica that answers. */
  version: z.string(),
  /** The lowest release among control's members and serving workers. */
  oldest: z.object({ version: z.string(), who: z.string() }),
  wanted: z.object({ workers: z.number(), reason: z.string() }).optional(),
});
export type Health = z.infer<typeof healthSchema>;

export const memberViewSchema = z.object({
  id: z.string(),
  url: z.string(),
  role: z.enum(["leader", "follower", "learner"]),
});

export const auditEntrySchema = z.object({
  id: z.string(),
  at: z.string(),
  who: z.string(),
  action: z.string(),
  subject: z.string(),
  details: z.record(z.string(), z.unknown()),
});
export type AuditEntry = z.infer<typeof auditEntrySchema>;

/** `read`: views. `write`: changes. `tenant-admin`: acts inside a tenant (tickets, superusers). */
export const OPERATOR_SCOPES = ["read", "write", "tenant-admin"] as const;
export const createTokenSchema = z.object({
  name: z.string().trim().min(1).max(limits.operatorTokenNameCharactersMax),
  scopes: z.array(z.enum(OPERATOR_SCOPES)).min(1),
});
export const tokenViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  scopes: z.array(z.enum(OPERATOR_SCOPES)),
  created: z.string(),
});
export type TokenView = z.infer<typeof tokenViewSchema>;
/** The token itself is in the answer that made it and nowhere else. */
export const newTokenSchema = tokenViewSchema.extend({ token: z.string() });

/** Pinning is control's alone: nobody would know of the pin. */
export const ticketRequestSchema = z.object({ action: z.enum(TICKET_ACTIONS).exclude(["branch"]) });
/** `path` is where to send the ticket, on the tenant's own host. */
export const ticketResponseSchema = z.object({ ticket: z.string(), expiresMs: z.number(), path: z.string() });

export const superuserRequestSchema = z.object({
  email: z.email().max(255),
  password: z.string().min(8).max(71),
  /** The superuser has lost its authenticator, backup codes and passkeys: they are forgotten. */
  resetMfa: z.boolean().optional(),
});
export type SuperuserRequest = z.infer<typeof superuserRequestSchema>;
export const superuserResponseSchema = z.object({ id: z.string(), email: z.string(), created: z.boolean() });

/** The token speaks for PocketBase's installer account, which the first superuser replaces. */
export const installerResponseSchema = z.object({ token: z.string(), expiresMs: z.number() });

export const importReportSchema = z.object({
  collections: z.number(),
  records: z.number(),
  files: z.number(),
  bytes: z.number(),
  /** What was not carried, in words; empty when everything was. */
  notCarried: z.array(z.string()),
});
export type ImportReport = z.infer<typeof importReportSchema>;
