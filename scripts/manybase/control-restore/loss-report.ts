import { z } from "zod";
import { SystemError } from "../../../shared/errors.ts";
import type { TenantId } from "../../../shared/ids.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { lossReportsPrefix } from "../../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../../shared/objects/read.ts";
import { positionsSchema, tenantIdSchema } from "../../../shared/protocol/internal.ts";
import type { TenantLoss } from "../../../control/disaster/rebuild.ts";

const spanSchema = z.tuple([z.number().int(), z.number().int()]);

const databaseSchema = z.object({
  database: z.string(),
  /** As far as it is kept; 0: nothing of it. */
  keptTxid: z.number().int(),
  /** ISO 8601, of the last change that is kept; absent when that is not known. */
  keptAt: z.string().optional(),
  /** TXIDs that are given up, and those among them that are nowhere. */
  lost: z.object({ from: z.number().int(), to: z.number().int(), missing: z.array(spanSchema) }),
});

const tenantSchema = z.object({
  tenant: tenantIdSchema,
  slug: z.string(),
  /** `cut`: it goes on from an earlier point. Else it is suspended: see examine-tenant.ts. `whole`: nothing of it is lost. */
  state: z.enum(["cut", "whole", "gone", "key", "origin"]),
  databases: z.array(databaseSchema),
  /** What counts from now on, whatever older records of control say. */
  base: positionsSchema,
  /** Keys that were moved to `lost/`. */
  moved: z.array(z.string()),
});

const reportSchema = z.object({
  version: z.literal(1),
  block: z.number().int(),
  at: z.string(),
  /** Logs that are given up: all that is needed of them is in the rescue log, or under prefixes. */
  logs: z.array(
    z.object({ incarnation: z.number().int(), endSeq: z.number().int(), missing: z.array(spanSchema) }),
  ),
  /** What the logs held that no prefix does. */
  rescue: z.object({ incarnation: z.number().int(), entries: z.number().int() }).optional(),
  tenants: z.array(tenantSchema),
});
export type LossReport = z.infer<typeof reportSchema>;
export type TenantLossReport = z.infer<typeof tenantSchema>;

export function encodeLossReport(report: LossReport): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(reportSchema.parse(report), undefined, 1)}\n`);
}

/** @throws SystemError `object_corrupt` */
export function decodeLossReport(key: string, bytes: Uint8Array): LossReport {
  try {
    return reportSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    throw new SystemError("object_corrupt", `Cannot read ${key}: it is no report of this version`, {
      cause,
      hint: "It says which positions of tenants count: put the original back, or use the version that wrote it.",
    });
  }
}

/** What earlier restores gave up, by tenant; of several the last. */
export async function readLosses(
  store: ObjectStore,
  signal: AbortSignal,
): Promise<Map<TenantId, TenantLoss>> {
  const losses = new Map<TenantId, TenantLoss>();
  for await (const { key } of listAll(store, { prefix: lossReportsPrefix, signal })) {
    const bytes = await getBytes(store, key, { signal });
    if (bytes === undefined) continue;
    const { block, tenants } = decodeLossReport(key, bytes);
    for (const { tenant, base, state } of tenants) {
      losses.set(tenant, { block, base, suspend: state !== "cut" && state !== "whole" });
    }
  }
  return losses;
}
