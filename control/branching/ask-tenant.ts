import type { z } from "zod";
import {
  SYSTEM_ERRORS,
  SystemError,
  type SystemErrorCode,
  USER_ERRORS,
  UserError,
  type UserErrorCode,
  parseErrorBody,
} from "../../shared/errors.ts";
import { parseEpoch } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { signGrant } from "../../shared/protocol/grant.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import type { ResolveRequest, Route, TicketAction } from "../../shared/protocol/internal.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";
import { signTicket } from "../../shared/protocol/ticket.ts";
import type { Clock } from "../clock.ts";
import type { TenantRecord } from "../domain/records.ts";

export interface AskParts {
  resolver: { resolve(request: ResolveRequest): Promise<Route> };
  clock: Clock;
  fetch: typeof fetch;
  memberKeys: Keyring;
  domain: string;
}

export interface Question<Answer extends z.ZodType> {
  action: TicketAction;
  method: "GET" | "POST";
  path: string;
  /** Sent again when the worker gave no answer, so doing it twice must be harmless. */
  body?: unknown;
  answer: Answer;
  timeoutMs: number;
  /** What an answer means that is no success and no error of ours. */
  explain?: (status: number, text: string) => Error | undefined;
}

/**
 * Asks a tenant's worker for a platform operation, which loads the tenant where that is needed. One retry with a fresh route.
 * @throws the worker's own error; SystemError `worker_unreachable`, `worker_lost`, and what resolving throws
 */
export async function askTenant<Answer extends z.ZodType>(
  parts: AskParts,
  tenant: TenantRecord,
  question: Question<Answer>,
  signal: AbortSignal,
): Promise<z.output<Answer>> {
  const route = await parts.resolver.resolve({ slug: tenant.slug });
  const first = await call(parts, tenant, route, question, signal);
  if (first instanceof Response && first.status !== 421) return result(first, question);
  const { worker } = route;
  const again = await parts.resolver.resolve({
    slug: tenant.slug,
    ...(worker === undefined
      ? {}
      : {
          failed: {
            incarnation: worker.incarnation,
            epoch: parseEpoch(route.epoch),
            reason: first instanceof Response ? ("not_owner" as const) : ("broken" as const),
          },
        }),
  });
  const second = await call(parts, tenant, again, question, signal);
  if (second instanceof Response) return result(second, question);
  throw second;
}

/** @returns the answer, or the error of a call without one */
async function call(
  { clock, memberKeys, domain, fetch }: AskParts,
  { id, slug }: TenantRecord,
  { worker, epoch }: Route,
  { action, method, path, body, timeoutMs }: Question<z.ZodType>,
  signal: AbortSignal,
): Promise<Response | SystemError> {
  if (worker === undefined) {
    return new SystemError("no_worker", `Cannot reach tenant ${slug}: nobody serves it`, {
      retryAfterMs: 1000,
    });
  }
  const now = clock.nowMs();
  const grant = { tenant: id, epoch: parseEpoch(epoch), incarnation: worker.incarnation };
  const ticket = { tenant: id, action, expiresMs: now + limits.ticketMs };
  try {
    return await fetch(worker.url + path, {
      method,
      headers: {
        "content-type": "application/json",
        authorization: `Ticket ${signTicket(memberKeys, ticket)}`,
        [HEADERS.grant]: signGrant(memberKeys, grant, method, path, now),
        [HEADERS.forwardedHost]: `${slug}.${domain}`,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
  } catch (cause) {
    return new SystemError("worker_unreachable", `Cannot reach tenant ${slug}: its worker gave no answer`, {
      cause,
      retryAfterMs: 1000,
    });
  }
}

async function result<Answer extends z.ZodType>(
  response: Response,
  { path, answer, explain }: Question<Answer>,
): Promise<z.output<Answer>> {
  const text = await response.text();
  if (response.ok) {
    const parsed = answer.safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
    throw new SystemError("worker_lost", `Cannot use the answer of ${path}: it has an unknown shape`);
  }
  const error = parseErrorBody(text);
  const options = {
    ...(error?.hint === undefined ? {} : { hint: error.hint }),
    ...(error?.details === undefined ? {} : { details: error.details }),
    retryAfterMs: 1000,
  };
  if (error !== undefined && error.code in USER_ERRORS) {
    throw new UserError(error.code as UserErrorCode, error.message, options);
  }
  if (error !== undefined && error.code in SYSTEM_ERRORS) {
    throw new SystemError(error.code as SystemErrorCode, error.message, options);
  }
  const lost = new SystemError("worker_lost", `Cannot do ${path}: the worker answered ${response.status}`);
  throw explain?.(response.status, text) ?? lost;
}

/** Undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
