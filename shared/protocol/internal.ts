/**
 * The internal API between rooms, `/v1/*` on control's private listener, JSON over HTTP, every call signed (signature.ts).
 * The member key may call everything; the gateway key only the `routes` calls. Errors are `errorResponse` bodies.
 *
 *   POST /v1/routes/resolve                         ResolveRequest  → Route            gateway, member
 *   POST /v1/routes/find                            FindRequest     → Route            gateway, member
 *        as it is, without assigning a worker; 404 for what is nobody's
 *   GET  /v1/routes                                                 → RouteSnapshot    gateway, member
 *   GET  /v1/routes/stream?from=<revision>                          → SSE              gateway, member
 *        `id: <revision>` `event: routes`   `data: RouteChange[]`
 *        `id: <revision>` `event: progress` `data: {}`  at least every streamProgressMs
 *        410 when the revision is too old: take the snapshot
 *   POST /v1/workers                                RegisterRequest → RegisterResponse  member
 *   POST /v1/workers/<incarnation>/beats            BeatRequest     → BeatResponse      member
 *   GET  /v1/workers/<incarnation>/assignments/<tenant>             → Assignment        member
 *   POST /v1/workers/<incarnation>/reports          ReportRequest   → {}                member
 *   POST /v1/workers/<incarnation>/exit             ExitRequest     → {}                member
 *
 * And of control to a worker, on the worker's own listener, signed by the member key:
 *   POST /v1/tenants/<tenant>/release               OwnershipRequest → ReleaseResponse
 *        drains, logs RELEASE, materialises; the same epoch again gives the same answer; 421 when it is not its own at that epoch
 *   POST /v1/tenants/<tenant>/load                  OwnershipRequest → {}                loads it before its first request
 *   POST /v1/tenants/<tenant>/flush                 OwnershipRequest → ReleaseResponse   brings what is durable under the prefix, serves on
 *   POST /v1/tenants/<tenant>/prewarm               PrewarmRequest → {}                  fetches a tenant that is about to move here
 *   GET  /v1/tenants                                                 → LoadedTenants
 */
import { z } from "zod";
import { limits } from "../limits.ts";
import {
  parseDatabaseName,
  parseEpoch,
  parseIncarnation,
  parseLogSeq,
  parseRevision,
  parseSlug,
  parseTenantId,
  parseTxid,
} from "../ids.ts";

/** A zod schema from one of the branded parsers, so that wire and code share one rule. */
const branded = <T>(parse: (raw: never) => T, json: Record<string, unknown>): z.ZodType<T> =>
  z
    .unknown()
    .transform((raw, context) => {
      try {
        return parse(raw as never);
      } catch (error) {
        context.addIssue({ code: "custom", message: (error as Error).message });
        return z.NEVER;
      }
    })
    // What documents made from the schema say of it.
    .meta(json);

export const tenantIdSchema = branded(parseTenantId, { type: "string", pattern: "^[a-z0-9]{15}$" });
export const slugSchema = branded(parseSlug, { type: "string", minLength: 1, maxLength: 63 });
export const databaseNameSchema = branded(parseDatabaseName, { type: "string" });
export const incarnationSchema = branded(parseIncarnation, { type: "integer", minimum: 1 });
export const epochSchema = branded(parseEpoch, { type: "integer", minimum: 1 });
export const txidSchema = branded(parseTxid, { type: "integer", minimum: 0 });
export const logSeqSchema = branded(parseLogSeq, { type: "integer", minimum: 0 });
export const revisionSchema = branded(parseRevision, { type: "integer", minimum: 0 });

export const TENANT_STATES = [
  "created",
  "assigning",
  "deploying",
  "active",
  "idle",
  "evicted",
  "archived",
  "deleted",
] as const;
export const tenantStateSchema = z.enum(TENANT_STATES);
export type TenantState = z.infer<typeof tenantStateSchema>;

export const durabilitySchema = z.enum(["durable", "async"]);
export type Durability = z.infer<typeof durabilitySchema>;

/** What gateways enforce for one tenant; an absent one means the gateway's default. */
export const routeLimitsSchema = z.object({
  requestsPerSecond: z.number().positive().optional(),
  concurrentRequests: z.number().int().positive().optional(),
  bodyBytes: z.number().int().positive().optional(),
});
export type RouteLimits = z.infer<typeof routeLimitsSchema>;

/** Where a tenant is served; `worker` is absent while nobody serves it. */
export const routeSchema = z.object({
  tenant: tenantIdSchema,
  slug: slugSchema,
  state: tenantStateSchema,
  suspended: z.boolean(),
  epoch: z.number().int().min(0),
  worker: z.object({ incarnation: incarnationSchema, url: z.url() }).optional(),
  /** Verified custom host names, lower case, beside `<slug>.<domain>`. */
  domains: z.array(z.string().max(253)).max(limits.tenantDomainsMax).optional(),
  /** Bounds of the tenant's own, where they differ from the gateway's. */
  limits: routeLimitsSchema.optional(),
  /** Of an archived one: its objects are on their way back. */
  thawing: z.boolean().optional(),
  /** Revision of control at which this was true. */
  revision: revisionSchema,
});
export type Route = z.infer<typeof routeSchema>;

/** A removed tenant leaves `{slug, deleted: true}`, so that caches drop it. */
export const routeChangeSchema = z.union([
  routeSchema,
  z.object({ slug: slugSchema, deleted: z.literal(true) }),
]);
export type RouteChange = z.infer<typeof routeChangeSchema>;

export const routeSnapshotSchema = z.object({ revision: revisionSchema, routes: z.array(routeSchema) });
export type RouteSnapshot = z.infer<typeof routeSnapshotSchema>;

/**
 * Asks for a route with a live worker; assigns one when there is none, and takes the tenant over from a dead one.
 * `failed` says what the caller saw of the route that it had: control checks the worker before it believes it.
 */
export const resolveRequestSchema = z.object({
  slug: slugSchema,
  failed: z
    .object({
      incarnation: incarnationSchema,
      epoch: epochSchema,
      reason: z.enum(["refused", "broken", "not_owner"]),
    })
    .optional(),
});
export type ResolveRequest = z.infer<typeof resolveRequestSchema>;

/** By slug, or by verified custom host name (lower-case A-labels). */
export const findRequestSchema = z.union([
  z.object({ slug: slugSchema }),
  z.object({ host: z.string().min(1).max(limits.domainCharactersMax) }),
]);
export type FindRequest = z.infer<typeof findRequestSchema>;

export const registerRequestSchema = z.object({
  /** Where gateways and control reach this worker, e.g. `http://127.0.0.1:7500`. */
  url: z.url(),
  /** Random per registration: the same nonce twice is the same registration (a retry). Also the writer nonce of its log. */
  nonce: z.string().regex(/^[a-f0-9]{32}$/),
  /** An earlier incarnation that this process knows to be gone (its predecessor on the same data directory). */
  replaces: incarnationSchema.optional(),
  region: z.string().max(64).optional(),
  version: z.string().max(32),
  /** The worker's wall clock; control refuses one that is more than clockSkewMsMax off. */
  nowMs: z.number(),
});
export type RegisterRequest = z.infer<typeof registerRequestSchema>;

export const registerResponseSchema = z.object({
  incarnation: incarnationSchema,
  clusterId: z.string(),
  leaseMs: z.number(),
  beatMs: z.number(),
});
export type RegisterResponse = z.infer<typeof registerResponseSchema>;

export const beatRequestSchema = z.object({
  /** Highest slot of the log known durable; where a sealer starts to look. */
  seq: logSeqSchema,
  tenants: z.number().int().min(0),
  rssBytes: z.number().min(0),
  draining: z.boolean(),
  /** What it may use of its machine's memory; absent: control's default. */
  memoryBytes: z.number().positive().optional(),
  /** Share of one core that it used lately, 0 to 1. */
  busyRatio: z.number().min(0).max(1).optional(),
});
export type BeatRequest = z.infer<typeof beatRequestSchema>;

/** `dead`: control has given this incarnation up; it must stop and register anew. */
export const beatResponseSchema = z.object({
  state: z.enum(["live", "dead"]),
  leaseMs: z.number(),
  /** Control's wall clock when it answered. */
  nowMs: z.number().optional(),
});
export type BeatResponse = z.infer<typeof beatResponseSchema>;

/** A position of one database, with the hash chain of its entries in that epoch (base64url; empty at the start of an epoch). */
export const positionSchema = z.object({ txid: txidSchema, entryHash: z.string() });
export type Position = z.infer<typeof positionSchema>;

/** Positions by database file name. */
export const positionsSchema = z.record(z.string(), positionSchema);
export type Positions = z.infer<typeof positionsSchema>;

/**
 * When the tenant must be awake next for a job that may not be skipped, Unix ms; null: never. Absent: the worker does not say, and
 * what control knows stands.
 */
export const dueSchema = z.number().int().min(0).nullable().optional();
export type Due = z.infer<typeof dueSchema>;

/**
 * Small values that go from one owner to the next by name (worker/state): by way of control when the tenant leaves, by the log of
 * a worker that died. They are worth losing.
 */
export const carriedStateSchema = z
  .record(z.string().max(64), z.string().max(limits.carriedValueCharactersMax))
  .refine((values) => Object.keys(values).length <= limits.carriedValuesMax)
  .optional();
export type CarriedState = NonNullable<z.infer<typeof carriedStateSchema>>;

/** A sealed log that still holds entries of the tenant that are not in its own prefix. Entries at or above endSeq are void. */
export const tailSchema = z.object({
  incarnation: incarnationSchema,
  endSeq: logSeqSchema,
  /** Under which that log's worker had the tenant when it ended: small values that it logged under another are somebody's before. */
  epoch: epochSchema.optional(),
});
export type Tail = z.infer<typeof tailSchema>;

/**
 * Whose history a branch continues: up to these TXIDs it is read from the origin's prefix, with the origin's id and key, and so
 * are uploads that the branch has not got itself. The origin keeps all of that while `pins/<branch>.json` is under its prefix.
 */
export const originSchema = z.object({
  tenant: tenantIdSchema,
  encrypted: z.boolean(),
  /** By database file name. */
  databases: z.record(z.string(), txidSchema),
});
export type Origin = z.infer<typeof originSchema>;

/** What a worker must know to load a tenant (replication.md §6). */
export const assignmentSchema = z.object({
  tenant: tenantIdSchema,
  slug: slugSchema,
  epoch: epochSchema,
  incarnation: incarnationSchema,
  durability: durabilitySchema,
  /** A load that ends below this is an error. */
  base: positionsSchema,
  /** Oldest first. */
  tails: z.array(tailSchema),
  /** Creation is allowed, provided that prefix and all tails are empty. */
  virgin: z.boolean(),
  /** Everything under its prefixes and its log entries are encrypted with its data key; a missing key is an error. */
  encrypted: z.boolean().optional(),
  /** A branch. A tenant that holds everything itself has none (any more). */
  origin: originSchema.optional(),
  /** Most bytes of databases and uploads together; absent: no quota. */
  storageBytesMax: z.number().int().positive().optional(),
  /** As the owner before told it: a due time that has passed is this one's to make up for (worker/crons). */
  dueMs: z.number().int().min(0).optional(),
  carried: carriedStateSchema,
});
export type Assignment = z.infer<typeof assignmentSchema>;

/** What a worker tells of a tenant that it owns; control compares the epoch and ignores what is stale. */
export const reportRequestSchema = z.object({
  reports: z
    .array(
      z.object({
        tenant: tenantIdSchema,
        epoch: epochSchema,
        /** `serving`: loaded. `materialised`: everything up to base is under the tenant's prefix; `cleared` tails are not needed. */
        kind: z.enum(["serving", "materialised"]),
        base: positionsSchema.optional(),
        cleared: z.array(incarnationSchema).optional(),
        /** With `serving`; told again whenever it changes. */
        dueMs: dueSchema,
      }),
    )
    .max(1000),
});
export type ReportRequest = z.infer<typeof reportRequestSchema>;

/** Clean exit: the worker sealed its own log at endSeq and these tenants are fully under their prefix. */
export const exitRequestSchema = z.object({
  endSeq: logSeqSchema,
  released: z.array(
    z.object({
      tenant: tenantIdSchema,
      epoch: epochSchema,
      base: positionsSchema,
      dueMs: dueSchema,
      carried: carriedStateSchema,
    }),
  ),
});
export type ExitRequest = z.infer<typeof exitRequestSchema>;

/** Which ownership a call of control to a worker means; any other is refused. */
export const ownershipRequestSchema = z.object({ incarnation: incarnationSchema, epoch: epochSchema });
export type OwnershipRequest = z.infer<typeof ownershipRequestSchema>;

/** The tenant as its owner has it now, with what lies under its prefix; `incarnation` is the one that is asked, which does not own it yet. */
export const prewarmRequestSchema = z.object({
  incarnation: incarnationSchema,
  assignment: assignmentSchema,
});
export type PrewarmRequest = z.infer<typeof prewarmRequestSchema>;

/** Everything of the tenant lies under its prefix up to `base`; of a release: and nothing is written under that epoch any more. */
export const releaseResponseSchema = z.object({
  base: positionsSchema,
  dueMs: dueSchema,
  carried: carriedStateSchema,
});
export type ReleaseResponse = z.infer<typeof releaseResponseSchema>;

export const loadedTenantsSchema = z.object({
  tenants: z.array(
    z.object({
      tenant: tenantIdSchema,
      epoch: epochSchema,
      /** Since its last request began or ended. */
      idleMs: z.number().min(0),
      loadedMs: z.number().min(0),
      /** Since it was loaded. */
      requests: z.number().int().min(0),
      /** Time with at least one request inside, since it was loaded. */
      busyMs: z.number().min(0),
    }),
  ),
});
export type LoadedTenants = z.infer<typeof loadedTenantsSchema>["tenants"];

/** 421 body details of a worker that does not own the tenant at the granted epoch. */
export const notOwnerSchema = z.object({
  incarnation: incarnationSchema,
  /** The epoch that the worker has, if it has the tenant at all. */
  epoch: epochSchema.optional(),
});

/**
 * Tenant operations of the platform, on the tenant's worker below `/_manybase/`, by a ticket instead of a user's token:
 *   POST /_manybase/import       body: tar of a pb_data directory         → ImportReport
 *   POST /_manybase/superusers   {email, password, resetMfa?}             → {id, email, created: boolean}
 *   POST /_manybase/installer    for a tenant without a superuser         → {token, expiresMs}
 *   GET  /_manybase/export?logs=0|1                                       → tar of a pb_data directory that PocketBase opens
 *   GET  /_manybase/points       what can be restored                     → Points
 *   POST /_manybase/restore      RestoreRequest: in place, as a new TXID  → RestoreReport
 *   POST /_manybase/branches     BranchRequest: pins, for control only    → BranchPoint
 *   POST /_manybase/detach       a branch copies what it still reads of its origin → {uploads}
 *   GET  /_manybase/usage                                                 → Usage
 * A ticket is made by control for one tenant and one action, is valid for minutes and signed with the member key.
 */
export const TICKET_ACTIONS = [
  "import",
  "superuser",
  "installer",
  "export",
  "points",
  "restore",
  "branch",
  "detach",
  "usage",
] as const;
export type TicketAction = (typeof TICKET_ACTIONS)[number];

/** Bytes that count against the quota. Not counted: history, backups, thumbs. */
export const usageSchema = z.object({
  databases: z.record(z.string(), z.number()),
  uploads: z.number(),
  total: z.number(),
  storageBytesMax: z.number().optional(),
});
export type Usage = z.infer<typeof usageSchema>;
