import type { z } from "zod";
import { limits } from "../../../shared/limits.ts";
import { ticketRequestSchema, type ticketResponseSchema } from "../../../shared/protocol/cp.ts";
import type { TicketAction } from "../../../shared/protocol/internal.ts";
import { signTicket } from "../../../shared/protocol/ticket.ts";
import { note } from "../../domain/note.ts";
import type { Control } from "../../service.ts";
import { readBody } from "../http.ts";
import { knownTenant } from "./known-tenant.ts";
import { type CpContext, auditName } from "./operator.ts";

/** Where each action is done, on the tenant's own host. */
export const TICKET_PATHS: Record<TicketAction, string> = {
  import: "/_manybase/import",
  superuser: "/_manybase/superusers",
};

/** Leave to act once inside a tenant, audited before it is given. */
export async function createTicket(control: Control, context: CpContext<"/:slug">): Promise<Response> {
  const { runner, clock, memberKeys } = control;
  const { action } = await readBody(context, ticketRequestSchema);
  const tenant = await knownTenant(control, context.req.param("slug"));
  const meta = runner.meta(auditName(context.get("operator")));
  await runner.run((view) => note(view, meta, "ticket.create", tenant.id, { action }));
  const expiresMs = clock.nowMs() + limits.ticketMs;
  const ticket = signTicket(memberKeys, { tenant: tenant.id, action, expiresMs });
  const answer: z.infer<typeof ticketResponseSchema> = { ticket, expiresMs, path: TICKET_PATHS[action] };
  return context.json(answer);
}
