import { z } from "zod";
import { UserError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import {
  installerResponseSchema,
  type SuperuserRequest,
  superuserRequestSchema,
  superuserResponseSchema,
} from "../../../shared/protocol/cp.ts";
import { askTenant, parseJson } from "../../branching/ask-tenant.ts";
import { note } from "../../domain/note.ts";
import type { TenantRecord } from "../../domain/records.ts";
import { knownTenant } from "./known-tenant.ts";
import { type Operation, operation } from "./operation.ts";
import { auditName } from "./operator.ts";
import { TICKET_PATHS } from "./tickets.ts";

const pocketbaseErrorSchema = z.object({
  message: z.string(),
  data: z.record(z.string(), z.object({ message: z.string() })).default({}),
});

/** Makes a superuser of the tenant, or gives one a new password, on the tenant's worker. Doing it twice is harmless. */
export const superuserOperations: readonly Operation[] = [
  operation({
    method: "POST",
    path: "/tenants/:slug/superusers",
    summary: "Make a superuser of a tenant, or give one a new password",
    scope: "tenant-admin",
    body: superuserRequestSchema,
    answer: superuserResponseSchema,
    async handle({ control, operator, param, body, signal }) {
      const { runner } = control;
      const tenant = await knownTenant(control, param("slug"));
      refuseSuspended(tenant);
      const meta = runner.meta(auditName(operator));
      await runner.run((view) => note(view, meta, "superuser.upsert", tenant.id, audited(body)));
      const question = {
        action: "superuser" as const,
        method: "POST" as const,
        path: TICKET_PATHS.superuser,
        body,
        answer: superuserResponseSchema,
        timeoutMs: limits.tenantLoadMsMax,
        explain: refusal,
      };
      return { value: await askTenant(control, tenant, question, signal) };
    },
  }),
  operation({
    method: "POST",
    path: "/tenants/:slug/installer",
    summary: "Get a token by which the first superuser of a tenant is made",
    scope: "tenant-admin",
    answer: installerResponseSchema,
    async handle({ control, operator, param, signal }) {
      const { runner } = control;
      const tenant = await knownTenant(control, param("slug"));
      refuseSuspended(tenant);
      const meta = runner.meta(auditName(operator));
      await runner.run((view) => note(view, meta, "installer.open", tenant.id, {}));
      const question = {
        action: "installer" as const,
        method: "POST" as const,
        path: TICKET_PATHS.installer,
        answer: installerResponseSchema,
        timeoutMs: limits.tenantLoadMsMax,
      };
      return { value: await askTenant(control, tenant, question, signal) };
    },
  }),
];

const audited = ({ email, resetMfa }: SuperuserRequest): Record<string, unknown> =>
  resetMfa === true ? { email, resetMfa } : { email };

function refuseSuspended({ slug, suspended }: TenantRecord): void {
  if (!suspended) return;
  throw new UserError("tenant_suspended", `Cannot make a superuser: tenant ${slug} is suspended`);
}

/** PocketBase's field errors become ours. */
function refusal(status: number, text: string): Error | undefined {
  const answer = pocketbaseErrorSchema.safeParse(parseJson(text));
  if (status !== 400 || !answer.success) return undefined;
  const fields: Record<string, string> = {};
  for (const [field, problem] of Object.entries(answer.data.data)) fields[field] = problem.message;
  return new UserError("invalid_body", `Cannot make a superuser: ${answer.data.message}`, {
    details: { fields },
  });
}
