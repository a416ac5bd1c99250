/**
 * The operators' API, `/api/cp/*` on the `admin.` host, `Authorization: Bearer <operator token>`.
 *
 *   GET    /api/cp/health                                   → {status: "ok", revision}
 *   POST   /api/cp/tenants              CreateTenant        → 201 TenantView
 *   GET    /api/cp/tenants?search=&limit=&after=            → {tenants: TenantView[], next?: slug}
 *   GET    /api/cp/tenants/<slug>                           → TenantView
 *   POST   /api/cp/tenants/<slug>/tickets {action}          → {ticket, expiresMs, path}
 *   POST   /api/cp/tenants/<slug>/superusers {email, password} → {id, email, created}
 *   GET    /api/cp/workers                                  → {workers: WorkerView[]}
 *
 * Errors are `errorResponse` bodies. Creates take an `Idempotency-Key` header.
 */
import { z } from "zod";
import {
  TICKET_ACTIONS,
  durabilitySchema,
  incarnationSchema,
  slugSchema,
  tenantIdSchema,
  tenantStateSchema,
} from "./internal.ts";

export const createTenantSchema = z.object({
  slug: slugSchema,
  durability: durabilitySchema.default("durable"),
});
export type CreateTenant = z.infer<typeof createTenantSchema>;

export const tenantViewSchema = z.object({
  id: tenantIdSchema,
  slug: slugSchema,
  state: tenantStateSchema,
  suspended: z.boolean(),
  durability: durabilitySchema,
  epoch: z.number(),
  /** Who serves it now. */
  worker: incarnationSchema.optional(),
  created: z.string(),
  updated: z.string(),
});
export type TenantView = z.infer<typeof tenantViewSchema>;

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
});
export type WorkerView = z.infer<typeof workerViewSchema>;

export const ticketRequestSchema = z.object({ action: z.enum(TICKET_ACTIONS) });
/** `path` is where to send the ticket, on the tenant's own host. */
export const ticketResponseSchema = z.object({ ticket: z.string(), expiresMs: z.number(), path: z.string() });

export const superuserRequestSchema = z.object({
  email: z.email().max(255),
  password: z.string().min(8).max(71),
});
export const superuserResponseSchema = z.object({ id: z.string(), email: z.string(), created: z.boolean() });

export const importReportSchema = z.object({
  collections: z.number(),
  records: z.number(),
  files: z.number(),
  bytes: z.number(),
  /** What was not carried, in words; empty when everything was. */
  notCarried: z.array(z.string()),
});
export type ImportReport = z.infer<typeof importReportSchema>;
