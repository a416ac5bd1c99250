import type { z } from "zod";
import { SystemError, UserError } from "../../shared/errors.ts";
import { type TenantId, parseTenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import { ownershipRequestSchema, prewarmRequestSchema } from "../../shared/protocol/internal.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";
import { verifyCall } from "../../shared/protocol/signature.ts";
import type { TenantHost } from "../tenant/host.ts";
import type { Departures } from "./departures.ts";
import type { Visitors } from "./visitors.ts";

/** What of an incarnation the member endpoints act on. */
export interface MemberSession {
  readonly incarnation: number;
  readonly visitors: Visitors;
  readonly departures: Departures;
  readonly host: Pick<TenantHost, "flush" | "prewarm" | "isClearing">;
}

export interface MemberAppOptions {
  /** The member keys alone: gateways may not do this. */
  keys: Keyring;
  session: () => MemberSession | undefined;
  nowMs?: () => number;
}

const ONE_TENANT = /^\/v1\/tenants\/([^/?]+)\/(release|load|flush|prewarm)$/;

/**
 * What control asks of a worker, below `/v1/` (shared/protocol/internal.ts). Errors are thrown: the server answers them.
 *
 * @throws UserError `unauthorized`, `not_found`, `invalid_body`, `not_owner`; SystemError `worker_starting`
 */
export function createMemberApp(
  options: MemberAppOptions,
): (request: Request, path: string) => Promise<Response> {
  return async (request, path) => {
    const body = await readSigned(options, request, path);
    const session = options.session();
    if (session === undefined) {
      throw new SystemError("worker_starting", "Cannot do this: this worker has no incarnation now", {
        retryAfterMs: 1000,
      });
    }
    if (request.method === "GET" && path === "/v1/tenants") {
      const tenants = session.visitors.list();
      for (const one of tenants) if (session.host.isClearing(one.tenant)) one.idleMs = 0;
      return Response.json({ tenants });
    }
    const [, id, action] = ONE_TENANT.exec(path) ?? [];
    if (request.method !== "POST" || id === undefined) {
      throw new UserError("not_found", `Cannot ${request.method} ${path}: no such path`);
    }
    const tenant = parseTenantId(id);
    if (action === "prewarm") {
      const { assignment } = meant(session, tenant, parsed(body, prewarmRequestSchema));
      if (assignment.tenant !== tenant) throw badBody("it names another tenant");
      await session.host.prewarm(assignment);
      return Response.json({});
    }
    const { epoch } = meant(session, tenant, parsed(body, ownershipRequestSchema));
    if (action === "flush") return Response.json({ base: await session.host.flush(tenant, epoch) });
    if (action === "release") {
      return Response.json(await session.departures.release(tenant, epoch));
    }
    const visit = await session.visitors.enter(tenant, epoch);
    visit.end();
    return Response.json({});
  };
}

function parsed<Schema extends z.ZodType>(body: Uint8Array, schema: Schema): z.infer<Schema> {
  let raw: unknown;
  try {
    raw = JSON.parse(new TextDecoder().decode(body));
  } catch (cause) {
    throw badBody("its body is not JSON", cause);
  }
  const result = schema.safeParse(raw);
  if (!result.success) throw badBody(result.error.issues[0]?.message ?? "bad body");
  return result.data;
}

const badBody = (what: string, cause?: unknown): UserError =>
  new UserError("invalid_body", `Cannot read request: ${what}`, { cause });

function meant<T extends { incarnation: number }>(session: MemberSession, tenant: TenantId, request: T): T {
  if (request.incarnation === session.incarnation) return request;
  throw new UserError(
    "not_owner",
    `Cannot act on tenant ${tenant}: this is incarnation ${session.incarnation}`,
    { details: { incarnation: session.incarnation } },
  );
}

async function readSigned(
  { keys, nowMs = Date.now }: MemberAppOptions,
  request: Request,
  path: string,
): Promise<Uint8Array> {
  const header = request.headers.get(HEADERS.signature);
  const length = Number(request.headers.get("content-length") ?? 0);
  if (length > limits.controlBodyBytesMax) {
    throw new UserError("too_large", "Cannot read request: its body is too long");
  }
  const body = header === null ? new Uint8Array() : new Uint8Array(await request.arrayBuffer());
  const verified = verifyCall(keys, header, request.method, path, body, nowMs());
  if ("problem" in verified) {
    throw new UserError("unauthorized", `Cannot call ${path}: the signature is missing or wrong`, {
      hint: "Only members call this: check that both sides have the same member key and that their clocks agree.",
    });
  }
  return body;
}
