/** The HTTP frame of the PocketBase API: finds the route, loads who asks, turns throws into PocketBase's errors. */
import type { TenantApp, TenantRequest } from "../http/contract.ts";
import type { Log } from "../log.ts";
import { Reason, badRequest, forbidden, notFound } from "./api-error.ts";
import { RequestContextState } from "./context.ts";
import { addCommonHeaders } from "./common-headers.ts";
import { addCors, preflight } from "./cors.ts";
import { errorResponse, toApiError } from "./error-response.ts";
import { loadAuth } from "./load-auth.ts";
import { checkRateLimit } from "./rate-limit.ts";
import { realIp } from "./real-ip.ts";
import { compileRoutes } from "./router.ts";
import { noteAuth, noteFailure } from "./request-notes.ts";
import type { FeatureRoute, PbContext } from "./route.ts";
import type { Tenant } from "../tenant/contract.ts";
import { plainPath, splitUrl } from "./split-url.ts";
import { isSuperuserAddress } from "./superuser-address.ts";

export interface FrameOptions {
  routes: readonly FeatureRoute[];
  log: Log;
  /** Run before a tenant's first request has its handler, e.g. to attach a feature to the tenant. */
  prepare?: readonly ((tenant: Tenant) => void)[];
}

export function createFrame(options: FrameOptions): TenantApp {
  const find = compileRoutes(options.routes);
  const { log, prepare = [] } = options;
  const prepared = {
    create(tenant: Tenant): true {
      for (const step of prepare) step(tenant);
      return true;
    },
  };

  function answer(given: TenantRequest): Promise<Response> | Response {
    const url = splitUrl(given.request.url);
    const sent = url.path;
    if (url.path.includes("%")) {
      const path = plainPath(url.path);
      if (path === undefined) return badPath();
      url.path = path;
    }
    if (url.path.includes("//")) return withoutDoubleSlash(given.request.method, sent, url.search);
    if (given.request.method === "OPTIONS") return asItIs(preflight(given.request));
    const match = find(given.request.method, url.path);
    const clientIp = realIp(given);
    const from = clientIp === given.clientIp ? given : { ...given, clientIp };
    from.tenant.slot(prepared);
    const auth = loadAuth(from.request.headers.get("authorization"), from.tenant, from.seen);
    if (auth !== undefined) noteAuth(from.request, auth);
    if (auth?.isSuperuser === true && !isSuperuserAddress(from)) return refused(from.request);
    const { params, route } = match ?? NO_MATCH;
    const context = new RequestContextState(from, url, params, auth, route.bodyBytesMax);
    checkRateLimit(context, route);
    const answered = route.handle(context);
    return answered instanceof Promise && isForm(from.request) ? discarding(answered, context) : answered;
  }

  function failure(from: TenantRequest, error: unknown): Response | Promise<Response> {
    const known = toApiError(error);
    const place = { tenant: from.tenant.id, request: from.requestId };
    if (known === undefined) log.error({ err: error, ...place }, "a request failed unexpectedly");
    else if (known.cause instanceof Error && known.status < 500 && !isExpected(known.cause)) {
      log.debug({ err: known.cause, ...place }, "a request failed for an inner error");
    }
    const told = known ?? badRequest();
    noteFailure(from.request, told);
    return finish(from, errorResponse(told));
  }

  return (from) => {
    try {
      const answered = answer(from);
      return answered instanceof Promise
        ? answered.then(
            (response) => finish(from, response),
            (error: unknown) => failure(from, error),
          )
        : finish(from, answered);
    } catch (error) {
      return failure(from, error);
    }
  };
}

/** The prebuilt PocketBase serves files at all other paths; GET hears of a file that is not there. */
const NO_MATCH = {
  params: {},
  route: {
    path: "",
    bodyBytesMax: 0,
    handle: ({ request: { method } }: PbContext): Response => {
      throw method === "GET" || method === "HEAD" ? notFound("File not found.") : notFound();
    },
  },
};

/** Answers that PocketBase gives before it adds any headers of its own. */
const bare = new WeakSet<Response>();

function asItIs(response: Response): Response {
  bare.add(response);
  return response;
}

/** To superusers who come from elsewhere. */
function refused(request: Request): Response {
  const error = forbidden();
  noteFailure(request, error);
  const response = errorResponse(error);
  addCors(Boolean(request.headers.get("origin")), response.headers);
  return asItIs(response);
}

/** Go's answer to a path that it cannot decode. */
function badPath(): Response {
  const headers = { "content-type": "text/plain; charset=utf-8" };
  return asItIs(new Response("400 Bad Request", { status: 400, headers }));
}

/** @param path - as it was sent: Go escapes its escapes once more */
function withoutDoubleSlash(method: string, path: string, search: string): Response {
  const location = path.replace(/\/{2,}/g, "/").replaceAll("%", "%25") + search;
  if (method !== "GET" && method !== "HEAD")
    return asItIs(new Response(null, { status: 307, headers: { location } }));
  return asItIs(
    new Response(`<a href="${location.replaceAll("&", "&amp;")}">Temporary Redirect</a>.\n\n`, {
      status: 307,
      headers: { location, "content-type": "text/html; charset=utf-8" },
    }),
  );
}

async function discarding(answered: Promise<Response>, context: RequestContextState): Promise<Response> {
  try {
    return await answered;
  } finally {
    await context.discard();
  }
}

function isForm({ headers }: Request): boolean {
  return headers.get("content-type")?.startsWith("multipart/form-data") === true;
}

/** What a client's own input causes. */
function isExpected(cause: Error): boolean {
  return (
    cause instanceof Reason ||
    toApiError(cause) !== undefined ||
    cause instanceof SyntaxError ||
    cause instanceof TypeError
  );
}

function finish(from: TenantRequest, response: Response): Response | Promise<Response> {
  if (!bare.has(response)) addCommonHeaders(from.request, response.headers);
  return from.request.method === "HEAD" ? withoutBody(response) : response;
}

/** The answer to HEAD: the same headers, the length of the body that is not sent. PocketBase says it of short successes only; Bun would say 0 in its place. */
async function withoutBody(response: Response): Promise<Response> {
  const { headers, status } = response;
  if (headers.get("content-type") === "application/json" && !headers.has("content-length")) {
    headers.set("content-length", String((await response.arrayBuffer()).byteLength));
  } else {
    await response.body?.cancel();
  }
  return new Response(null, { status, headers });
}
