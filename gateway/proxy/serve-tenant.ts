import { SystemError, UserError, parseErrorBody } from "../../shared/errors.ts";
import { type Slug, parseEpoch } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { type Grant, signGrant } from "../../shared/protocol/grant.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import type { ResolveRequest, Route } from "../../shared/protocol/internal.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";
import type { RouteSource } from "../routes/route-source.ts";
import type { RouteTable } from "../routes/route-table.ts";
import { type Client, requestHeaders, responseHeaders } from "./headers.ts";
import { type ReplayableBody, replayableBody } from "./replayable-body.ts";

export interface TenantProxy {
  table: RouteTable;
  source: RouteSource;
  keys: Keyring;
  fetch?: typeof fetch;
}

/** What became of one try. */
type Outcome =
  | { kind: "answer"; response: Response }
  /** Nothing ran: it may be sent again, after asking control (when `failed` says what was wrong) or after a pause. */
  | { kind: "not-run"; failed?: ResolveRequest["failed"]; why: SystemError | UserError; pauseMs: number };

/** Requests that are waiting for a route, a load or a takeover right now. */
let held = 0;

/**
 * Forwards a request to the tenant's worker. While the tenant moves, loads or is taken over the request is held, bounded in time
 * and number; it is sent again only when nothing of it can have run, or when it is safe by its method.
 *
 * @throws UserError or SystemError that the page maker turns into an answer
 */
export async function serveTenant(
  proxy: TenantProxy,
  slug: Slug,
  request: Request,
  client: Client,
): Promise<Response> {
  const body = await replayableBody(request);
  const deadlineMs = performance.now() + limits.holdMsMax;
  let route = proxy.table.find(slug);
  let pauseMs: number = limits.restartDelayMsMin;
  held += 1;
  try {
    if (held > limits.holdRequestsMax) {
      throw new SystemError("overloaded", "Cannot take this request: too many are waiting", {
        retryAfterMs: 1000,
      });
    }
    let failed: ResolveRequest["failed"];
    for (;;) {
      if (route?.worker === undefined || failed !== undefined)
        route = await proxy.source.resolve(slug, failed);
      if (route.suspended) throw new UserError("tenant_suspended", `Cannot serve ${slug}: it is suspended`);
      if (!body.again) route = await confirmOwner(proxy, route);
      const outcome = await attempt(proxy, route, request, client, body);
      if (outcome.kind === "answer") return outcome.response;
      request.signal.throwIfAborted();
      if (!body.again || performance.now() + pauseMs > deadlineMs) throw outcome.why;
      failed = outcome.failed;
      await new Promise((resolve) => setTimeout(resolve, outcome.pauseMs + pauseMs * Math.random()));
      pauseMs = Math.min(pauseMs * 2, limits.controlRetryMsMax);
    }
  } finally {
    held -= 1;
  }
}

async function attempt(
  { keys, fetch: send = fetch }: TenantProxy,
  route: Route,
  request: Request,
  client: Client,
  body: ReplayableBody,
): Promise<Outcome> {
  const { grant, url } = granted(route);
  const { pathname, search } = new URL(request.url);
  const path = pathname + search;
  const headers = requestHeaders(request, client);
  headers.set(HEADERS.grant, signGrant(keys, grant, request.method, path, Date.now()));
  const failed = { incarnation: grant.incarnation, epoch: grant.epoch };
  let upstream: Response;
  try {
    const payload = body.take();
    upstream = await send(url + path, {
      method: request.method,
      headers,
      redirect: "manual",
      signal: request.signal,
      ...(payload === null ? {} : { body: payload, duplex: "half" }),
    });
  } catch (cause) {
    request.signal.throwIfAborted();
    const refused = wasRefused(cause);
    if (refused || request.method === "GET" || request.method === "HEAD") {
      const why = new SystemError("worker_unreachable", `Cannot reach the worker of ${route.slug}`, {
        cause,
        retryAfterMs: 1000,
      });
      return {
        kind: "not-run",
        failed: { ...failed, reason: refused ? "refused" : "broken" },
        why,
        pauseMs: 0,
      };
    }
    throw new SystemError(
      "worker_lost",
      "Cannot say whether this was kept: the worker was lost while it ran",
      {
        cause,
        hint: "Read before you send it again.",
      },
    );
  }
  if (upstream.status === 421) {
    await upstream.body?.cancel();
    const why = new SystemError(
      "tenant_moving",
      `Cannot serve ${route.slug} just now: it is changing its worker`,
      { retryAfterMs: 1000 },
    );
    return { kind: "not-run", failed: { ...failed, reason: "not_owner" }, why, pauseMs: 0 };
  }
  if (upstream.headers.has(HEADERS.notRun) && upstream.status === 503) {
    const error = parseErrorBody(await upstream.text());
    const why = new SystemError("worker_starting", error?.message ?? "Cannot serve just now", {
      retryAfterMs: 1000,
    });
    return { kind: "not-run", why, pauseMs: limits.restartDelayMsMin };
  }
  return {
    kind: "answer",
    response: new Response(upstream.body, {
      status: upstream.status,
      headers: responseHeaders(upstream.headers),
    }),
  };
}

/** A body that cannot be sent twice goes only to a worker that has just said that the tenant is its own. */
async function confirmOwner(
  { source, keys, fetch: send = fetch }: TenantProxy,
  route: Route,
): Promise<Route> {
  const path = "/_manybase/owner";
  let current = route;
  for (let round = 0; round < limits.ownerRoundsMax; round++) {
    const { grant, url } = granted(current);
    const answer = await send(url + path, {
      headers: { [HEADERS.grant]: signGrant(keys, grant, "GET", path, Date.now()) },
      signal: AbortSignal.timeout(limits.holdMsMax),
    }).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok === true) return current;
    const reason = answer === undefined ? "refused" : "not_owner";
    current = await source.resolve(current.slug, {
      incarnation: grant.incarnation,
      epoch: grant.epoch,
      reason,
    });
  }
  throw new SystemError("worker_unreachable", `Cannot reach a worker of ${route.slug}`, {
    retryAfterMs: 1000,
  });
}

function granted(route: Route): { grant: Grant; url: string } {
  const { worker, tenant, epoch } = route;
  if (worker === undefined) {
    throw new SystemError("no_worker", `Cannot serve ${route.slug}: no worker has it`, {
      retryAfterMs: 1000,
    });
  }
  return { grant: { tenant, epoch: parseEpoch(epoch), incarnation: worker.incarnation }, url: worker.url };
}

/** The connection was never made, so nothing was sent. Deno and Bun say it in different words. */
function wasRefused(error: unknown): boolean {
  const { code, message, cause } = error as { code?: string; message?: string; cause?: unknown };
  const said =
    code === "ConnectionRefused" || code === "ECONNREFUSED" || /client error \(Connect\)/.test(message ?? "");
  return said || (cause instanceof Error && wasRefused(cause));
}
