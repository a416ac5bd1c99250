import { z } from "zod";
import {
  SYSTEM_ERRORS,
  SystemError,
  type SystemErrorCode,
  USER_ERRORS,
  UserError,
  type UserErrorCode,
  parseErrorBody,
} from "../../../shared/errors.ts";
import { parseEpoch } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { superuserRequestSchema, superuserResponseSchema } from "../../../shared/protocol/cp.ts";
import { signGrant } from "../../../shared/protocol/grant.ts";
import { HEADERS } from "../../../shared/protocol/headers.ts";
import type { ResolveRequest, Route } from "../../../shared/protocol/internal.ts";
import { signTicket } from "../../../shared/protocol/ticket.ts";
import { note } from "../../domain/note.ts";
import type { TenantRecord } from "../../domain/records.ts";
import type { Control } from "../../service.ts";
import { knownTenant } from "./known-tenant.ts";
import { type Operation, operation } from "./operation.ts";
import { auditName } from "./operator.ts";
import { TICKET_PATHS } from "./tickets.ts";

const PATH = TICKET_PATHS.superuser;

type Superuser = z.infer<typeof superuserResponseSchema>;

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
    async handle({ control, operator, param, body }) {
      const { runner } = control;
      const tenant = await knownTenant(control, param("slug"));
      if (tenant.suspended) {
        throw new UserError(
          "tenant_suspended",
          `Cannot make a superuser: tenant ${tenant.slug} is suspended`,
        );
      }
      const meta = runner.meta(auditName(operator));
      await runner.run((view) => note(view, meta, "superuser.upsert", tenant.id, { email: body.email }));
      return { value: await onWorker(control, tenant, body) };
    },
  }),
];

/** One retry with a fresh route: 421 means that nothing ran, and a broken call may be repeated here. */
async function onWorker(control: Control, tenant: TenantRecord, body: unknown): Promise<Superuser> {
  const route = await control.resolver.resolve({ slug: tenant.slug });
  const first = await call(control, tenant, route, body);
  if (first instanceof Response && first.status !== 421) return result(first);
  const reason = first instanceof Response ? "not_owner" : "broken";
  const failed = failure(route, reason);
  const again = await control.resolver.resolve({
    slug: tenant.slug,
    ...(failed === undefined ? {} : { failed }),
  });
  const second = await call(control, tenant, again, body);
  if (second instanceof Response) return result(second);
  throw second;
}

function failure(route: Route, reason: "not_owner" | "broken"): ResolveRequest["failed"] {
  if (route.worker === undefined) return undefined;
  return { incarnation: route.worker.incarnation, epoch: parseEpoch(route.epoch), reason };
}

/** @returns the answer, or the error of a call without one */
async function call(
  control: Control,
  tenant: TenantRecord,
  route: Route,
  body: unknown,
): Promise<Response | SystemError> {
  const { worker } = route;
  if (worker === undefined) {
    return new SystemError("no_worker", `Cannot reach tenant ${tenant.slug}: nobody serves it`, {
      retryAfterMs: 1000,
    });
  }
  const now = control.clock.nowMs();
  const grant = { tenant: tenant.id, epoch: parseEpoch(route.epoch), incarnation: worker.incarnation };
  const ticket = { tenant: tenant.id, action: "superuser" as const, expiresMs: now + limits.ticketMs };
  try {
    return await control.fetch(worker.url + PATH, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Ticket ${signTicket(control.memberKeys, ticket)}`,
        [HEADERS.grant]: signGrant(control.memberKeys, grant, "POST", PATH, now),
        [HEADERS.forwardedHost]: `${tenant.slug}.${control.domain}`,
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(limits.tenantLoadMsMax),
    });
  } catch (cause) {
    return new SystemError(
      "worker_unreachable",
      `Cannot reach tenant ${tenant.slug}: its worker gave no answer`,
      {
        cause,
        retryAfterMs: 1000,
      },
    );
  }
}

async function result(response: Response): Promise<Superuser> {
  const text = await response.text();
  if (response.ok) {
    const parsed = superuserResponseSchema.safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
    throw new SystemError("worker_lost", "Cannot make a superuser: the worker's answer has an unknown shape");
  }
  throw workerError(response.status, text);
}

/** The worker's own error as it is; PocketBase's field errors become ours. */
function workerError(status: number, text: string): Error {
  const error = parseErrorBody(text);
  if (error !== undefined) {
    const { code, message, hint, details } = error;
    const options = {
      ...(hint === undefined ? {} : { hint }),
      ...(details === undefined ? {} : { details }),
    };
    if (code in USER_ERRORS) return new UserError(code as UserErrorCode, message, options);
    if (code in SYSTEM_ERRORS) return new SystemError(code as SystemErrorCode, message, options);
  }
  const pocketbase = pocketbaseErrorSchema.safeParse(parseJson(text));
  if (status === 400 && pocketbase.success) {
    const fields: Record<string, string> = {};
    for (const [field, problem] of Object.entries(pocketbase.data.data)) fields[field] = problem.message;
    return new UserError("invalid_body", `Cannot make a superuser: ${pocketbase.data.message}`, {
      details: { fields },
    });
  }
  return new SystemError("worker_lost", `Cannot make a superuser: the worker answered ${status}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
