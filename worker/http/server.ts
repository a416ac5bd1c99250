import type { Server } from "bun";
import { SystemError, UserError, errorResponse } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { type Grant, verifyGrant } from "../../shared/protocol/grant.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";
import type { Log } from "../log.ts";
import type { Visit } from "../member/visitors.ts";
import type { Session } from "../session.ts";
import { clientAddress } from "./client-address.ts";
import type { TenantApp, TenantRequest } from "./contract.ts";
import { leave } from "./leave.ts";

export interface WorkerServerOptions {
  hostname: string;
  /** 0: any free port. */
  port: number;
  /** Keys whose grants are believed: the gateways' and the members'. */
  keys: Keyring;
  app: TenantApp;
  /** Platform operations below `/_manybase/`. */
  platform: TenantApp;
  /** What control asks of this worker, below `/v1/`. */
  member: (request: Request, path: string) => Promise<Response>;
  /** Prometheus' text, without any tenant's name: the listener is private. */
  metrics: () => Promise<string>;
  /** Undefined while there is no incarnation (starting, fenced, stopping). */
  session: () => Session | undefined;
  log: Log;
}

/** Serves granted requests of this worker's tenants. Without a valid grant nothing of a tenant can be reached. */
export function startWorkerServer(options: WorkerServerOptions): Server<undefined> {
  const { app, platform, member, session, log } = options;

  async function answer(request: Request): Promise<Response> {
    const path = pathAndQuery(request.url);
    if (path === "/v1/health") {
      const live = session();
      return Response.json({ ok: live !== undefined, incarnation: live?.incarnation ?? null });
    }
    // With a grant it is a tenant's client that asks for a path of that name.
    if (path === "/metrics" && !request.headers.has(HEADERS.grant)) {
      const type = "text/plain; version=0.0.4; charset=utf-8";
      return new Response(await options.metrics(), { headers: { "content-type": type } });
    }
    if (path.startsWith("/v1/")) return member(request, path);
    let admitted: Admitted;
    try {
      admitted = await admit(options, request, path);
    } catch (error) {
      const refused = failure(error, log);
      refused.headers.set(HEADERS.notRun, "1");
      return refused;
    }
    const { context, visit } = admitted;
    if (path === "/_manybase/owner") {
      // What follows cannot be sent twice: the tenant stays for it.
      setTimeout(() => visit.end(), limits.ownerConfirmedMs);
      return Response.json({ epoch: context.tenant.epoch });
    }
    try {
      const response = await (path.startsWith("/_manybase/") ? platform : app)(context);
      return await leave(context, response);
    } finally {
      visit.end();
    }
  }

  return Bun.serve({
    hostname: options.hostname,
    port: options.port,
    // Realtime connections end by that feature's own limits, and uploads may pause.
    idleTimeout: 0,
    maxRequestBodySize: limits.importBytesMax,
    fetch: (request) => answer(request).catch((error: unknown) => failure(error, log)),
    error: (error) => failure(error, log),
  });
}

/** A request and its place inside the tenant, to be given back. */
interface Admitted {
  context: TenantRequest;
  visit: Visit;
}

/**
 * The granted tenant, loaded. Whatever is thrown here happened before anything of the request ran, so a gateway may send it again.
 *
 * @throws UserError `unauthorized`, or `not_owner` for a grant that names another incarnation or epoch than this worker's
 */
async function admit(
  { keys, session, log }: WorkerServerOptions,
  request: Request,
  path: string,
): Promise<Admitted> {
  const { headers } = request;
  const live = session();
  if (live === undefined) {
    throw new SystemError("worker_starting", "Cannot serve: this worker has no incarnation now", {
      retryAfterMs: 1000,
    });
  }
  const grant: Grant | string = verifyGrant(
    keys,
    headers.get(HEADERS.grant),
    request.method,
    path,
    Date.now(),
  );
  if (typeof grant === "string") {
    log.warn({ why: grant, method: request.method }, "refused a request without a valid grant");
    throw new UserError("unauthorized", "Cannot serve: this worker answers gateways only");
  }
  if (grant.incarnation !== live.incarnation) {
    throw new UserError("not_owner", "Cannot serve this tenant: the route names another incarnation", {
      details: { incarnation: live.incarnation },
    });
  }
  const entered = live.visitors.enter(grant.tenant, grant.epoch);
  const visit = entered instanceof Promise ? await entered : entered;
  const { tenant } = visit;
  const host = headers.get(HEADERS.forwardedHost) ?? headers.get("host") ?? "";
  const context = {
    request,
    tenant,
    seen: tenant.observe(),
    clientIp: clientAddress(headers.get(HEADERS.forwardedFor)),
    origin: `${headers.get(HEADERS.forwardedProto) ?? "http"}://${host}`,
    requestId: headers.get(HEADERS.requestId) ?? crypto.randomUUID(),
  };
  return { context, visit };
}

function failure(error: unknown, log: Log): Response {
  if (error instanceof SystemError) log.warn({ code: error.code, error: error.message }, "cannot serve");
  else if (!(error instanceof UserError)) log.error({ error: describe(error) }, "unexpected");
  return errorResponse(error);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** The server has normalised the URL already. */
function pathAndQuery(url: string): string {
  return url.slice(url.indexOf("/", "https://".length));
}
