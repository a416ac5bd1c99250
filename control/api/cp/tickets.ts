import { limits } from "../../../shared/limits.ts";
import { ticketRequestSchema, ticketResponseSchema } from "../../../shared/protocol/cp.ts";
import type { TicketAction } from "../../../shared/protocol/internal.ts";
import { signTicket } from "../../../shared/protocol/ticket.ts";
import { note } from "../../domain/note.ts";
import { knownTenant } from "./known-tenant.ts";
import { type Operation, operation } from "./operation.ts";
import { auditName } from "./operator.ts";

/** Where each action is done, on the tenant's own host. */
export const TICKET_PATHS: Record<TicketAction, string> = {
  import: "/_manybase/import",
  superuser: "/_manybase/superusers",
  installer: "/_manybase/installer",
  export: "/_manybase/export",
  points: "/_manybase/points",
  restore: "/_manybase/restore",
  branch: "/_manybase/branches",
  detach: "/_manybase/detach",
  usage: "/_manybase/usage",
};

/** Leave to act once inside a tenant, audited before it is given. */
export const ticketOperations: readonly Operation[] = [
  operation({
    method: "POST",
    path: "/tenants/:slug/tickets",
    summary: "Get leave to act once inside a tenant, for minutes",
    scope: "tenant-admin",
    body: ticketRequestSchema,
    answer: ticketResponseSchema,
    async handle({ control, operator, param, body: { action } }) {
      const { runner, clock, memberKeys } = control;
      const tenant = await knownTenant(control, param("slug"));
      const meta = runner.meta(auditName(operator));
      await runner.run((view) => note(view, meta, "ticket.create", tenant.id, { action }));
      const expiresMs = clock.nowMs() + limits.ticketMs;
      const ticket = signTicket(memberKeys, { tenant: tenant.id, action, expiresMs });
      return { value: { ticket, expiresMs, path: TICKET_PATHS[action] } };
    },
  }),
];
