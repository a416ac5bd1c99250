import { Hono } from "hono";
import { SystemError, UserError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { type Slug, parseSlug, parseTenantId } from "../shared/ids.ts";
import { HEADERS } from "../shared/protocol/headers.ts";
import type { RouteLimits } from "../shared/protocol/internal.ts";
import { type DashboardFiles, serveDashboard } from "./dashboards/serve-file.ts";
import { Hosts, pathOf } from "./host.ts";
import type { Observer } from "./observe/access-log.ts";
import { page } from "./pages/page.ts";
import { problem } from "./pages/problem.ts";
import { Breakers } from "./proxy/breakers.ts";
import { Doubts } from "./proxy/doubts.ts";
import { GrantSigner } from "./proxy/grant-signer.ts";
import { sendByFetch } from "./proxy/upstream.ts";
import { type Client, type Exchange, openExchange } from "./proxy/exchange.ts";
import { type Rate, RateLimiter, clientName, rateHeaders, refuseWhenEmpty } from "./proxy/rate-limits.ts";
import { NO_BODY_ONCE, type ReplayableBody, replayableBody } from "./proxy/replayable-body.ts";
import { serveOperators } from "./proxy/serve-operators.ts";
import { type TenantProxy, type TenantProxyState, refuseByState, serveTenant } from "./proxy/serve-tenant.ts";
import { SlowReaders } from "./proxy/slow-readers.ts";
import { type TrustedProxies, clientBehind } from "./proxy/trusted-proxies.ts";
import { Turns, type TurnsOptions } from "./proxy/turns.ts";
import type { Try } from "./proxy/try-worker.ts";
import { TLS_ASK_PATH, TlsAsk, tenantOfHost } from "./tls/tls-ask.ts";

export interface GatewayOptions extends TenantProxy {
  /** Tenants are `<slug>.<domain>`. */
  domain: string;
  bodyBytesMax?: number;
  /** Per tenant; none without. */
  tenantRate?: Rate;
  /** Per client address, but for loopback ones: those are the owner's, or a proxy's on this machine. */
  clientRate?: Rate;
  turns?: TurnsOptions;
  /** `x-tenant-id` names the tenant, by id or slug, on hosts that name none. */
  tenantHeader?: boolean;
  /** Proxies in front whose word on the client's address and protocol counts. */
  trustedProxies?: TrustedProxies;
  /** The built files of the dashboards; a page of ours stands for those that are not there. */
  dashboards?: DashboardFiles;
  /** How long a client may let us wait for its next bytes, or for taking ours, beside what its bytes earn. */
  clientWaitMs?: number;
  /** An edge in front bounds bodies and the time that they take: large ones are handed on untouched. */
  bodiesAreBounded?: boolean;
  /** The runtime ends a timer with the request that set it. */
  timersEndWithRequests?: boolean;
  observe?: Observer;
  /** Told of errors that are nobody's fault but ours; never with headers or bodies. */
  onError: (error: unknown) => void;
}

/** What an adapter adds to a request. */
export type GatewayBindings = {
  client: Client;
  /** Turns this connection into a WebSocket that is joined with one to the target; absent where the runtime cannot. */
  upgrade?: NonNullable<Try["upgrade"]>;
  /** Ends the connection although an answer is on its way; absent where the runtime cannot. */
  hangUp?: () => void;
};

/** Numbers of this moment. */
export interface GatewayGauges {
  holding: () => number;
  waiting: () => number;
  routes: () => number;
  following: () => boolean;
}

export interface Gateway {
  fetch: (request: Request, bindings: GatewayBindings) => Response | Promise<Response>;
  gauges: GatewayGauges;
}

/** What a request can do to the connection that it came on. */
interface Connection {
  upgrade: GatewayBindings["upgrade"];
  hangUp: GatewayBindings["hangUp"];
}

interface State {
  options: GatewayOptions;
  hosts: Hosts;
  proxy: TenantProxyState;
  tlsAsk: TlsAsk;
  /** Undefined where the edge in front watches clients. */
  readers: SlowReaders | undefined;
  turns: Turns;
  /** By the gateway's own rate, if it has one, or a tenant's. */
  tenantRates: RateLimiter;
  clientRates: RateLimiter | undefined;
}

/** The gateway as a pure function over fetch; adapters/ run it on a runtime. */
export function createGateway(options: GatewayOptions): Gateway {
  const { source, table, tenantRate, clientRate, turns } = options;
  const state: State = {
    options,
    hosts: new Hosts(options.domain),
    proxy: {
      ...options,
      send: options.send ?? sendByFetch(options.fetch ?? fetch),
      decodesBodies: options.send === undefined && options.decodesBodies === true,
      grants: new GrantSigner(options.keys),
      breakers: new Breakers(),
      doubts: new Doubts(options.timersEndWithRequests !== true),
      holding: 0,
    },
    tlsAsk: new TlsAsk(options),
    readers: options.bodiesAreBounded === true ? undefined : new SlowReaders(options.clientWaitMs),
    turns: new Turns(turns ?? { totalMax: limits.turnsMax, tenantMax: limits.turnsPerTenantMax }),
    tenantRates: new RateLimiter(tenantRate ?? UNLIMITED),
    clientRates: clientRate === undefined ? undefined : new RateLimiter(clientRate),
  };
  const app = new Hono<{ Bindings: GatewayBindings }>();
  app.all("*", async ({ req: { raw: request }, env: { client, upgrade, hangUp } }) => {
    const from =
      options.trustedProxies === undefined
        ? client
        : clientBehind(options.trustedProxies, request.headers, client);
    const exchange = openExchange(request, from);
    const response = await answer(state, request, exchange, { upgrade, hangUp }).catch((error: unknown) => {
      if (!(error instanceof UserError) && !(error instanceof SystemError) && !request.signal.aborted)
        options.onError(error);
      return problem(request, error);
    });
    // A response that became a WebSocket has no head of ours.
    if (upgrade === undefined || response.status !== 101) {
      response.headers.set(HEADERS.requestId, exchange.requestId);
      if (exchange.allowance !== undefined) rateHeaders(response.headers, exchange.allowance);
    }
    options.observe?.(exchange, request, response.status);
    return response;
  });
  return {
    fetch: (request, bindings) => app.fetch(request, bindings),
    gauges: {
      holding: () => state.proxy.holding,
      waiting: () => state.turns.waiting,
      routes: () => table.size,
      following: () => source.following,
    },
  };
}

async function answer(
  state: State,
  request: Request,
  exchange: Exchange,
  connection: Connection,
): Promise<Response> {
  const { options } = state;
  const { domain } = options;
  refuseLongAddress(request);
  const { address } = exchange.client;
  if (state.clientRates !== undefined && !LOOPBACK.test(address)) {
    exchange.allowance = state.clientRates.take(clientName(address));
    refuseWhenEmpty(exchange.allowance, "this address");
  }
  const host = state.hosts.read(request.headers.get("host"));
  const own = host.kind === "foreign" ? await tenantOfHost(options, host.name) : undefined;
  const slug = host.kind === "tenant" ? host.slug : (own ?? tenantOfHeader(state, request, host.kind));
  if (slug !== undefined) return answerTenant(state, slug, request, exchange, connection);
  if (host.kind === "base" || host.kind === "foreign") {
    const { pathname, search } = pathOf(request);
    // The proxy that asks knows this gateway by an address or a name of its own.
    if (pathname === TLS_ASK_PATH) {
      exchange.kind = "platform";
      return state.tlsAsk.answer(request, new URLSearchParams(search));
    }
  }
  switch (host.kind) {
    case "operators": {
      exchange.kind = "operators";
      const { controlUrl } = options.source;
      return serveOperators({ ...options, controlUrl, files: options.dashboards }, request, exchange);
    }
    case "customers":
      exchange.kind = "platform";
      return (
        (await serveDashboard(options.dashboards, "customers", pathOf(request).pathname, request)) ??
        page(200, "Your applications", [
          "The customers' dashboard is not part of this release yet: sign-up and self-service come with it.",
          "Until then an operator makes applications with the command line tool.",
        ])
      );
    case "base":
      exchange.kind = "platform";
      return page(200, "Manybase", [
        `Every application has a name of its own here: http://<name>.${domain}.`,
        `Operators work on admin.${domain}, customers on app.${domain}.`,
      ]);
    case "malformed":
      throw new UserError("invalid_host", "Cannot read the host name of this request");
    default:
      throw new UserError("tenant_not_found", "Cannot find an application at this host name", {
        hint: `Applications are at <name>.${domain}.`,
      });
  }
}

async function answerTenant(
  state: State,
  slug: Slug,
  request: Request,
  exchange: Exchange,
  connection: Connection,
): Promise<Response> {
  const { options, proxy, turns, tenantRates } = state;
  const { upgrade, hangUp } = connection;
  exchange.kind = "tenant";
  exchange.tenant = slug;
  const known = options.table.findStale(slug);
  const bounds = known?.limits;
  // Names that nobody has must not push the buckets of those that are used out of memory.
  if (known !== undefined && (options.tenantRate !== undefined || bounds?.requestsPerSecond !== undefined)) {
    const allowance = tenantRates.take(slug, rateOf(bounds) ?? options.tenantRate);
    // The client is told of the bound that it is nearer to.
    if (exchange.allowance === undefined || allowance.remaining < exchange.allowance.remaining) {
      exchange.allowance = allowance;
    }
    refuseWhenEmpty(allowance, "this application's clients");
  }
  if (options.dashboards !== undefined) {
    const page = await tenantDashboard(options, slug, request);
    if (page !== undefined) return page;
  }
  const socket = request.headers.get("upgrade")?.toLowerCase() === "websocket";
  const body = socket ? NO_BODY_ONCE : await bodyOf(options, request, bounds);
  const taken = turns.take(slug, request, turnsOf(options, bounds));
  const end = typeof taken === "function" ? taken : await taken;
  try {
    const response = await serveTenant(proxy, slug, {
      request,
      exchange,
      body,
      ...(socket && upgrade !== undefined ? { upgrade } : {}),
    });
    return watched(state, response, hangUp);
  } finally {
    end();
  }
}

function tenantOfHeader({ options }: State, request: Request, kind: string): Slug | undefined {
  if (options.tenantHeader !== true || (kind !== "base" && kind !== "foreign")) return undefined;
  const value = request.headers.get(HEADERS.tenantId);
  if (value === null) return undefined;
  const byId = TENANT_ID.test(value) ? options.table.findSlug(parseTenantId(value)) : undefined;
  return byId ?? parseSlug(value);
}

const TENANT_ID = /^[a-z0-9]{15}$/;
const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/;

/** No bound at all: what is taken from it is always there. */
const UNLIMITED: Rate = { perSecond: Number.MAX_SAFE_INTEGER, burst: Number.MAX_SAFE_INTEGER };

/** A tenant's own rate, with room for twice as many at once. */
function rateOf(bounds: RouteLimits | undefined): Rate | undefined {
  const perSecond = bounds?.requestsPerSecond;
  return perSecond === undefined ? undefined : { perSecond, burst: Math.max(1, Math.ceil(perSecond * 2)) };
}

/** Where requests cannot wait for one another (Workers) nobody has turns. */
function turnsOf(options: GatewayOptions, bounds: RouteLimits | undefined): number | undefined {
  return options.timersEndWithRequests === true ? undefined : bounds?.concurrentRequests;
}

/** The tenants' admin app, at `/_/` of every tenant that is served. */
async function tenantDashboard(
  { table, source, dashboards }: GatewayOptions,
  slug: Slug,
  request: Request,
): Promise<Response | undefined> {
  const { pathname } = pathOf(request);
  if (pathname !== "/_" && !pathname.startsWith("/_/")) return undefined;
  const route = table.find(slug) ?? (await source.find({ slug }));
  refuseByState(route, slug);
  return serveDashboard(dashboards, "tenant", pathname.slice(2), request);
}

/** A tenant's bound can only be below the gateway's. */
function bodyOf(
  options: GatewayOptions,
  request: Request,
  bounds: RouteLimits | undefined,
): Promise<ReplayableBody> | ReplayableBody {
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  const own = bounds?.bodyBytes;
  if (
    options.bodiesAreBounded === true &&
    own === undefined &&
    request.body !== null &&
    !(length <= limits.holdBodyBytesMax)
  ) {
    return { again: false, take: () => request.body };
  }
  const bytesMax = Math.min(own ?? Number.POSITIVE_INFINITY, options.bodyBytesMax ?? limits.importBytesMax);
  return replayableBody(request, bytesMax, options.clientWaitMs);
}

/** An answer that is in the system's buffers at once needs no reader; one that streams may be left unread for ever. */
function watched({ readers }: State, response: Response, hangUp: GatewayBindings["hangUp"]): Response {
  if (readers === undefined || response.status === 101) return response;
  const length = response.headers.get("content-length");
  if (length !== null && Number(length) <= limits.readerFreeBytesMax) return response;
  // Asked for last: some runtimes make a stream of a body that nobody asked for as one.
  const { body } = response;
  if (body === null) return response;
  return new Response(readers.watch(body, hangUp), response);
}

function refuseLongAddress(request: Request): void {
  if (request.url.length > limits.urlCharactersMax) {
    throw new UserError("too_large", "Cannot take this request: its address is too long");
  }
}
