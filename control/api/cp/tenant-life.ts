import { z } from "zod";
import { SystemError } from "../../../shared/errors.ts";
import type { Incarnation, TenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import {
  type TenantView,
  archiveTenantSchema,
  moveTenantSchema,
  tenantViewSchema,
} from "../../../shared/protocol/cp.ts";
import { archiveTenant, thawTenant } from "../../domain/archive-tenant.ts";
import type { Meta } from "../../domain/audit.ts";
import { deleteTenant, recoverTenant } from "../../domain/delete-tenant.ts";
import { noSuchTenant } from "../../domain/find-tenant.ts";
import { leastLoaded } from "../../domain/place.ts";
import type { TenantRecord } from "../../domain/records.ts";
import { resumeTenant, suspendTenant } from "../../domain/suspend-tenant.ts";
import { beginTransfer } from "../../domain/transfer-tenant.ts";
import type { Decision, View } from "../../domain/view.ts";
import { transferEnded } from "../../moving/mover.ts";
import type { Control } from "../../service.ts";
import { knownTenant } from "./known-tenant.ts";
import { type Call, type Operation, operation } from "./operation.ts";
import { auditName } from "./operator.ts";
import { tenantView } from "./tenant-view.ts";

const deleteQuerySchema = z.object({
  retainSeconds: z.coerce
    .number()
    .min(0)
    .max(limits.tenantRetainMsMax / 1000)
    .optional(),
});

export const tenantLifeOperations: readonly Operation[] = [
  change("suspend", "Refuse all requests of a tenant at once and let its worker drop it", suspendTenant),
  change("resume", "Let a suspended tenant serve again", resumeTenant),
  change("thaw", "Bring an archived tenant's objects back; it serves again when they are there", thawTenant),
  operation({
    method: "POST",
    path: "/tenants/:slug/archive",
    summary: "Let a tenant's worker drop it and move its objects to a cold storage class",
    scope: "write",
    body: archiveTenantSchema,
    answer: tenantViewSchema,
    handle: (call) => {
      const { storageClass = call.control.settings.archiveClass } = call.body;
      return changed(call, (view, meta, id) => archiveTenant(view, meta, id, storageClass));
    },
  }),
  change("recover", "Bring a deleted tenant back before its retention is over", recoverTenant),
  operation({
    method: "DELETE",
    path: "/tenants/:slug",
    summary: "Delete a tenant; it can be recovered until its retention is over, then its objects go",
    scope: "write",
    query: deleteQuerySchema,
    answer: tenantViewSchema,
    handle: (call) => {
      const { retainSeconds } = call.query;
      const retainMs = retainSeconds === undefined ? call.control.settings.retainMs : retainSeconds * 1000;
      return changed(call, (view, meta, id) => deleteTenant(view, meta, id, retainMs));
    },
  }),
  operation({
    method: "POST",
    path: "/tenants/:slug/move",
    summary: "Move a tenant to another worker while it serves",
    scope: "write",
    body: moveTenantSchema,
    answer: tenantViewSchema,
    async handle(call) {
      const { worker } = call.body;
      return transferred(call, (tenant) => worker ?? emptiestOther(call.control, tenant));
    },
  }),
  operation({
    method: "POST",
    path: "/tenants/:slug/evict",
    summary: "Let a tenant's worker drop it; its next request loads it again",
    scope: "write",
    answer: tenantViewSchema,
    handle: (call) => transferred(call, () => undefined),
  }),
];

type Change = (view: View, meta: Meta, id: TenantId) => Decision<TenantRecord>;
type AnyCall = Pick<Call<unknown, unknown>, "control" | "operator" | "param" | "signal">;

function change(verb: string, summary: string, command: Change): Operation {
  return operation({
    method: "POST",
    path: `/tenants/:slug/${verb}`,
    summary,
    scope: "write",
    answer: tenantViewSchema,
    handle: (call) => changed(call, command),
  });
}

async function changed(
  { control, operator, param }: AnyCall,
  command: Change,
): Promise<{ value: TenantView }> {
  const { table, runner } = control;
  const { id } = await knownTenant(control, param("slug"));
  const meta = runner.meta(auditName(operator));
  const tenant = await runner.run((view) => command(view, meta, id));
  return { value: tenantView(table, tenant) };
}

/** Waits, bounded, until it is over; whoever waits no longer finds `moving` in the tenant. */
async function transferred(
  { control, operator, param, signal }: AnyCall,
  target: (tenant: TenantRecord) => Incarnation | undefined,
): Promise<{ value: TenantView; status?: 202 }> {
  const { table, runner } = control;
  const tenant = await knownTenant(control, param("slug"));
  const to = target(tenant);
  const meta = runner.meta(auditName(operator));
  const begun = await runner.run((view) =>
    beginTransfer(view, {
      meta,
      id: tenant.id,
      why: to === undefined ? "evict" : "move",
      ...(to === undefined ? {} : { to }),
    }),
  );
  if (begun.transfer === undefined) return { value: tenantView(table, begun) };
  const patience = AbortSignal.any([signal, AbortSignal.timeout(limits.transferWaitMsMax)]);
  const after = await transferEnded(control, tenant.id, begun.transfer, patience);
  if (after === undefined) throw noSuchTenant(tenant.slug);
  if (after.transfer?.id === begun.transfer.id) return { value: tenantView(table, after), status: 202 };
  // After an eviction somebody may have asked for it already.
  if (to !== undefined && after.owner?.incarnation !== to) {
    throw new SystemError("tenant_moving", `Cannot move tenant ${tenant.slug}: it did not get there`, {
      hint: `GET /api/cp/audit?subject=${tenant.id} says why.`,
      retryAfterMs: 1000,
    });
  }
  return { value: tenantView(table, after) };
}

function emptiestOther({ table, leadership }: Control, tenant: TenantRecord): Incarnation {
  const loads = (incarnation: Incarnation) => leadership.current?.leases.last(incarnation);
  const worker = leastLoaded(table, loads, {
    except: tenant.owner?.incarnation,
    region: tenant.region,
  });
  if (worker !== undefined) return worker.incarnation;
  throw new SystemError("no_worker", `Cannot move tenant ${tenant.slug}: no other worker has room`, {
    hint: "Start another worker.",
    retryAfterMs: 1000,
  });
}
