/** Point-in-time restore and branches: what operators and control ask of a tenant's owner, and what it answers. */
import { z } from "zod";
import { limits } from "../limits.ts";
import { durabilitySchema, slugSchema, tenantIdSchema, txidSchema } from "./internal.ts";

const timeSchema = z.iso.datetime({ offset: true });

/** A TXID of data.db, or a time: the newest TXID of each database that is not younger. */
export const pointSchema = z.union([txidSchema, timeSchema]);
export type Point = z.infer<typeof pointSchema>;

/** One restorable TXID and when it was made. */
export const restorablePointSchema = z.object({ txid: txidSchema, at: z.string() });
export type RestorablePoint = z.infer<typeof restorablePointSchema>;

/** What can be restored, by database file name. */
export const pointsSchema = z.object({
  databases: z.record(
    z.string(),
    z.object({
      newest: restorablePointSchema.optional(),
      /** Every TXID from the first to the last can be had. Oldest first. */
      ranges: z.array(z.object({ first: restorablePointSchema, last: restorablePointSchema })),
      /** Of coarser grain: these TXIDs and none beside them. Oldest first. */
      singles: z.array(restorablePointSchema),
      /** Older ones that are not shown. */
      more: z.number().int().min(0),
    }),
  ),
});
export type Points = z.infer<typeof pointsSchema>;

/** `logs`: auxiliary.db too, which otherwise stays as it is. */
export const restoreRequestSchema = z.object({ at: pointSchema, logs: z.boolean().default(false) });
export type RestoreRequest = z.infer<typeof restoreRequestSchema>;

/**
 * `before` is the newest TXID before the restore: restoring it undoes this one. `exact` is false when the state at the asked time itself
 * is not kept any more: then `point` is the newest kept one before it, and `next` the one after.
 */
export const restoreReportSchema = z.object({
  point: restorablePointSchema,
  exact: z.boolean(),
  next: restorablePointSchema.optional(),
  before: txidSchema,
  after: txidSchema,
  databases: z.record(z.string(), z.object({ point: txidSchema, before: txidSchema, after: txidSchema })),
  /** Databases that were left as they are, with the reason. */
  kept: z.array(z.string()),
});
export type RestoreReport = z.infer<typeof restoreReportSchema>;

/** Of control to the parent's owner; the same branch again gives the same answer. */
export const branchRequestSchema = z.object({ branch: tenantIdSchema, at: pointSchema.optional() });
export type BranchRequest = z.infer<typeof branchRequestSchema>;

/** What `pins/<branch>.json` holds durably: where the branch begins, and which objects of the parent it is read from. */
export const pinSchema = z.object({
  branch: tenantIdSchema,
  at: z.string(),
  point: restorablePointSchema,
  exact: z.boolean(),
  next: restorablePointSchema.optional(),
  databases: z.record(z.string(), z.object({ txid: txidSchema })),
  /** Everything below `litestream/` and `flushes/` that is needed. */
  keys: z.array(z.string()).max(limits.pinKeysMax),
});
export type Pin = z.infer<typeof pinSchema>;

/** A pin without its keys. */
export const branchPointSchema = pinSchema.omit({ keys: true });
export type BranchPoint = z.infer<typeof branchPointSchema>;

/** The operators' request: `POST /api/cp/tenants/<slug>/branches`. */
export const createBranchSchema = z.object({
  slug: slugSchema,
  at: pointSchema.optional(),
  durability: durabilitySchema.optional(),
});
export type CreateBranch = z.infer<typeof createBranchSchema>;
