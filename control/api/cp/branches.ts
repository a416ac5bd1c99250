import { z } from "zod";
import { SystemError } from "../../../shared/errors.ts";
import { newTenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { branchViewSchema, tenantViewSchema } from "../../../shared/protocol/cp.ts";
import { HEADERS } from "../../../shared/protocol/headers.ts";
import {
  branchPointSchema,
  createBranchSchema,
  pointsSchema,
  restoreReportSchema,
  restoreRequestSchema,
} from "../../../shared/protocol/points.ts";
import { type Question, askTenant } from "../../branching/ask-tenant.ts";
import { createBranch, intendBranch } from "../../domain/branch-tenant.ts";
import type { TenantRecord } from "../../domain/records.ts";
import { note } from "../../domain/note.ts";
import { knownTenant } from "./known-tenant.ts";
import { type Call, type Operation, operation } from "./operation.ts";
import { auditName } from "./operator.ts";
import { tenantView } from "./tenant-view.ts";
import { idempotency } from "./tenants.ts";
import { TICKET_PATHS } from "./tickets.ts";

/** Points in time and branches. What changes a tenant's content is done by its own worker. */
export const branchOperations: readonly Operation[] = [
  operation({
    method: "GET",
    path: "/tenants/:slug/points",
    summary: "List what of a tenant can be restored",
    scope: "read",
    answer: pointsSchema,
    handle: async (call) => ({
      value: await ask(call, {
        action: "points",
        method: "GET",
        answer: pointsSchema,
        timeoutMs: limits.branchCallMs,
      }),
    }),
  }),
  operation({
    method: "POST",
    path: "/tenants/:slug/restore",
    summary:
      "Put a tenant's databases as of a TXID or time on top of what it has; restoring `before` undoes it",
    scope: "tenant-admin",
    body: restoreRequestSchema,
    answer: restoreReportSchema,
    async handle(call) {
      const { control, operator, param, body } = call;
      const { id } = await knownTenant(control, param("slug"));
      const meta = control.runner.meta(auditName(operator));
      await control.runner.run((view) =>
        note(view, meta, "tenant.restore", id, { at: body.at, logs: body.logs }),
      );
      return {
        value: await ask(call, {
          action: "restore",
          method: "POST",
          body,
          answer: restoreReportSchema,
          timeoutMs: limits.importMs,
        }),
      };
    },
  }),
  operation({
    method: "POST",
    path: "/tenants/:slug/branches",
    summary: "Make a tenant that begins as this one is, or was at a TXID or time; nothing is copied",
    scope: "write",
    body: createBranchSchema,
    answer: branchViewSchema,
    status: 201,
    idempotent: true,
    async handle(call) {
      const { control, operator, param, header, body, signal } = call;
      const { table, runner, randomBytes } = control;
      let parent = await knownTenant(control, param("slug"));
      const used = idempotency(operator, header(HEADERS.idempotencyKey), body, `branch ${parent.id}`);
      const { slug, at, durability } = body;
      const command = {
        meta: runner.meta(auditName(operator)),
        id: newTenantId(randomBytes),
        slug,
        parent: parent.id,
        ...(durability === undefined ? {} : { durability }),
        ...(used === undefined ? {} : { idempotency: used }),
      };
      // A branch of a branch: the middle one stands alone first, so that none ever reads through another.
      parent = await detached(call, parent);
      if (parent.origin !== undefined) {
        throw new SystemError(
          "tenant_loading",
          `Cannot branch ${parent.slug} yet: it is a branch that copies its files`,
          {
            retryAfterMs: limits.detachWaitMs,
          },
        );
      }
      const made = await runner.run((view) => intendBranch(view, command));
      if (made !== undefined) return { value: { tenant: tenantView(table, made) } };
      const question = {
        action: "branch" as const,
        method: "POST" as const,
        path: TICKET_PATHS.branch,
        body: { branch: command.id, ...(at === undefined ? {} : { at }) },
        answer: branchPointSchema,
        timeoutMs: limits.branchCallMs,
      };
      const point = await askTenant(control, parent, question, signal);
      const meta = runner.meta(auditName(operator));
      const tenant = await runner.run((view) => createBranch(view, { ...command, meta, point }));
      const { exact, next } = point;
      return {
        value: {
          tenant: tenantView(table, tenant),
          point: point.point,
          exact,
          ...(next === undefined ? {} : { next }),
        },
      };
    },
  }),
  operation({
    method: "POST",
    path: "/tenants/:slug/detach",
    summary: "Let a branch copy what it still reads of its parent; twice is as once, 202 while it goes on",
    scope: "write",
    answer: tenantViewSchema,
    async handle(call) {
      const { control, param } = call;
      const after = await detached(call, await knownTenant(control, param("slug")));
      const value = tenantView(control.table, after);
      return after.origin === undefined ? { value } : { value, status: 202 };
    },
  }),
];

type AnyCall = Pick<Call<unknown, unknown>, "control" | "operator" | "param" | "signal">;

/** Waits, bounded; the copying goes on, and whoever asks again waits for the same. */
function detached({ control, operator, signal }: AnyCall, branch: TenantRecord): Promise<TenantRecord> {
  const meta = control.runner.meta(auditName(operator));
  const patience = AbortSignal.any([signal, AbortSignal.timeout(limits.detachWaitMs)]);
  return control.detacher.detach(branch, meta, patience);
}

async function ask<Answer extends z.ZodType>(
  { control, param, signal }: AnyCall,
  question: Omit<Question<Answer>, "path">,
): Promise<z.output<Answer>> {
  const tenant = await knownTenant(control, param("slug"));
  return askTenant(control, tenant, { ...question, path: TICKET_PATHS[question.action] }, signal);
}
