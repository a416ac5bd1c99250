import { Hono } from "hono";
import { UserError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { type Slug, parseSlug, parseTenantId } from "../shared/ids.ts";
import { HEADERS } from "../shared/protocol/headers.ts";
import type { RouteLimits } from "../shared/protocol/internal.ts";
import { type DashboardFiles, serveDashboard } from "./dashboards/serve-file.ts";
import { type HostMeaning, Hosts, pathOf } from "./host.ts";
import type { Observer } from "./observe/access-log.ts";
import { page } from "./pages/page.ts";
import { Breakers } from "./proxy/breakers.ts";
import { Doubts } from "./proxy/doubts.ts";
import { GrantSigner } from "./proxy/grant-signer.ts";
import { sendByFetch } from "./proxy/upstream.ts";
import { Answer } from "./proxy/answer.ts";
import { type Receiving, Reception } from "./proxy/reception.ts";
import { type Client, Exchange } from "./proxy/exchange.ts";
import { type Rate, RateLimiter, clientName, refuseWhenEmpty } from "./proxy/rate-limits.ts";
import { NO_BODY_ONCE, type ReplayableBody, replayableBody } from "./proxy/replayable-body.ts";
import { serveOperators } from "./proxy/serve-operators.ts";
import { type TenantProxy, type TenantProxyState, refuseByState, serveTenant } from "./proxy/serve-tenant.ts";
import { type TrustedProxies, clientBehind } from "./proxy/trusted-proxies.ts";
import { type Turn, Turns, type TurnsOptions } from "./proxy/turns.ts";
import type { Upgrade, Work } from "./proxy/try-worker.ts";
import { type Told, promised, tellOf } from "./proxy/told.ts";
import { TLS_ASK_PATH, TlsAsk, tenantOfHost } from "./tls/tls-ask.ts";
import type { Incoming } from "./proxy/incoming.ts";

export interface GatewayOptions extends TenantProxy {
  /** Tenants are `<slug>.<domain>`. */
  domain: string;
  bodyBytesMax?: number;
  /** Per tenant; none without. */
  tenantRate?: Rate;
  /** Per client address, but for loopback ones: those are the owner's, or a proxy's on this machine. */
  clientRate?: Rate;
  turns?: TurnsOptions;
  /** Among which rates and turns are divided: each knows only its own requests. */
  threads?: number;
  /** `x-tenant-id` names the tenant, by id or slug, on hosts that name none. */
  tenantHeader?: boolean;
  /** Proxies in front whose word on the client's address and protocol counts. */
  trustedProxies?: TrustedProxies;
  /** The built files of the dashboards; a page of ours stands for those that are not there. */
  dashboards?: DashboardFiles;
  /** How long a client may let us wait for its next bytes, beside what its bytes earn. */
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
  upgrade?: Upgrade;
};

/** Numbers of this moment. */
export interface GatewayGauges {
  holding: () => number;
  waiting: () => number;
  routes: () => number;
  following: () => boolean;
}

export interface Gateway {
  /** The same over fetch and, where connections are our own, without the Web's objects. Bytes of an answer last as long as the reply. */
  answer: (
    request: Incoming,
    client: Client,
    upgrade: Upgrade | undefined,
    reply: (answer: Answer | Response) => void,
  ) => void;
  fetch: (request: Request, bindings: GatewayBindings) => Response | Promise<Response>;
  gauges: GatewayGauges;
}

interface State {
  options: GatewayOptions;
  receiving: Receiving;
  hosts: Hosts;
  proxy: TenantProxyState;
  tlsAsk: TlsAsk;
  turns: Turns;
  /** By the gateway's own rate, if it has one, or a tenant's. */
  tenantRates: RateLimiter;
  clientRates: RateLimiter | undefined;
}

/** The gateway as a pure function over fetch; adapters/ run it on a runtime. */
export function createGateway(options: GatewayOptions): Gateway {
  const { source, table, tenantRate, clientRate } = options;
  const threads = options.threads ?? 1;
  const bounds = options.turns ?? { totalMax: limits.turnsMax, tenantMax: limits.turnsPerTenantMax };
  const turns = new Turns({
    totalMax: shareOf(bounds.totalMax, threads),
    tenantMax: shareOf(bounds.tenantMax, threads),
  });
  const state: State = {
    options,
    receiving: { turns, observe: options.observe, onError: options.onError },
    hosts: new Hosts(options.domain),
    proxy: {
      ...options,
      send: options.send ?? sendByFetch(options.fetch ?? fetch),
      decodesBodies: options.send === undefined && options.decodesBodies === true,
      grants: new GrantSigner(options.keys, options.mac),
      breakers: new Breakers(),
      doubts: new Doubts(options.timersEndWithRequests !== true),
      holding: 0,
    },
    tlsAsk: new TlsAsk(options),
    turns,
    tenantRates: new RateLimiter(tenantRate === undefined ? UNLIMITED : shareOfRate(tenantRate, threads)),
    clientRates: clientRate === undefined ? undefined : new RateLimiter(shareOfRate(clientRate, threads)),
  };
  const app = new Hono<{ Bindings: GatewayBindings }>();
  app.all("*", ({ req: { raw: request }, env }) => {
    return new Promise<Response>((resolve) => {
      serve(state, request, env.client, env.upgrade, (given) =>
        resolve(given instanceof Response ? given : given.kept().toResponse()),
      );
    });
  });
  return {
    answer: (request, client, upgrade, reply) => serve(state, request, client, upgrade, reply),
    fetch: (request, bindings) => app.fetch(request, bindings),
    gauges: {
      holding: () => state.proxy.holding,
      waiting: () => state.turns.waiting,
      routes: () => table.size,
      following: () => source.following,
    },
  };
}

/** Never throws: what went wrong is an answer, too. */
function serve(
  state: State,
  request: Incoming,
  client: Client,
  upgrade: Upgrade | undefined,
  reply: (answer: Answer | Response) => void,
): void {
  const proxies = state.options.trustedProxies;
  const from = proxies === undefined ? client : clientBehind(proxies, request.headers, client);
  const exchange = new Exchange(request, from);
  const reception = new Reception(state.receiving, request, exchange, reply);
  try {
    answer(state, request, exchange, upgrade, reception);
  } catch (error) {
    reception.failed(error);
  }
}

/** @throws what it does not tell of */
function answer(
  state: State,
  request: Incoming,
  exchange: Exchange,
  upgrade: Upgrade | undefined,
  told: Told<Response | Answer>,
): void {
  refuseLongAddress(request);
  const { address } = exchange.client;
  if (state.clientRates !== undefined && !LOOPBACK.test(address)) {
    exchange.allowance = state.clientRates.take(clientName(address));
    refuseWhenEmpty(exchange.allowance, "this address");
  }
  const host = state.hosts.read(request.headers.get("host"));
  if (host.kind === "tenant") answerTenant(state, host.slug, request, exchange, upgrade, told);
  else tellOf(answerOther(state, host, request, exchange, upgrade), told);
}

async function answerOther(
  state: State,
  host: Exclude<HostMeaning, { kind: "tenant" }>,
  request: Incoming,
  exchange: Exchange,
  upgrade: Upgrade | undefined,
): Promise<Response | Answer> {
  const { options } = state;
  const { domain } = options;
  const own = host.kind === "foreign" ? await tenantOfHost(options, host.name) : undefined;
  const slug = own ?? tenantOfHeader(state, request, host.kind);
  if (slug !== undefined) {
    return promised((told) =>
      answerTenant(state, slug, request, exchange, upgrade, {
        done: (given) => told.done(given instanceof Answer ? given.kept() : given),
        failed: (error) => told.failed(error),
      }),
    );
  }
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

/**
 * A tenant's request waits for nothing on its way to the worker where nothing has to be waited for.
 *
 * @throws what it does not tell of
 */
function answerTenant(
  state: State,
  slug: Slug,
  request: Incoming,
  exchange: Exchange,
  upgrade: Upgrade | undefined,
  told: Told<Response | Answer>,
): void {
  const { options, proxy, turns, tenantRates } = state;
  exchange.kind = "tenant";
  exchange.tenant = slug;
  const known = options.table.findStale(slug);
  const bounds = known?.limits;
  // Names that nobody has must not push the buckets of those that are used out of memory.
  if (known !== undefined && (options.tenantRate !== undefined || bounds?.requestsPerSecond !== undefined)) {
    const allowance = tenantRates.take(slug, rateOf(bounds, options.threads));
    // The client is told of the bound that it is nearer to.
    if (exchange.allowance === undefined || allowance.remaining < exchange.allowance.remaining) {
      exchange.allowance = allowance;
    }
    refuseWhenEmpty(allowance, "this application's clients");
  }
  const socket = request.headers.get("upgrade")?.toLowerCase() === "websocket";
  const use = socket ? upgrade : undefined;
  // Most requests are told apart without being taken to pieces.
  const body = request.url.includes("/_") ? undefined : bodyOf(options, request, bounds, socket);
  const ready = body === undefined || body instanceof Promise ? undefined : body;
  const turn = ready === undefined ? undefined : turns.take(slug, request, turnsOf(options, bounds));
  if (ready !== undefined && turn !== undefined && !(turn instanceof Promise)) {
    exchange.turn = turn;
    serveTenant(proxy, slug, { request, exchange, body: ready, upgrade: use }, told);
    return;
  }
  const begun = { request, exchange, upgrade: use };
  answerLater(state, slug, begun, { bounds, socket, body, turn }, told).catch((error: unknown) =>
    told.failed(error),
  );
}

/** The same where something is waited for: a dashboard's file, a body or a turn. */
async function answerLater(
  { options, proxy, turns }: State,
  slug: Slug,
  begun: Omit<Work, "body">,
  awaited: {
    bounds: RouteLimits | undefined;
    socket: boolean;
    /** Undefined where a dashboard may be asked for. */
    body: Promise<ReplayableBody> | ReplayableBody | undefined;
    turn: Promise<Turn> | Turn | undefined;
  },
  told: Told<Response | Answer>,
): Promise<void> {
  const { request, exchange } = begun;
  const { bounds, socket, turn } = awaited;
  if (awaited.body === undefined) {
    const dashboard = await tenantDashboard(options, slug, request);
    if (dashboard !== undefined) {
      told.done(dashboard);
      return;
    }
  }
  const body = await (awaited.body ?? bodyOf(options, request, bounds, socket));
  exchange.turn = await (turn ?? turns.take(slug, request, turnsOf(options, bounds)));
  serveTenant(proxy, slug, { ...begun, body }, told);
}

function tenantOfHeader({ options }: State, request: Incoming, kind: string): Slug | undefined {
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
function rateOf(bounds: RouteLimits | undefined, threads = 1): Rate | undefined {
  const perSecond = bounds?.requestsPerSecond;
  if (perSecond === undefined) return undefined;
  return shareOfRate({ perSecond, burst: Math.max(1, Math.ceil(perSecond * 2)) }, threads);
}

/** What one of so many threads may let through, at least 1. */
function shareOf(count: number, threads: number): number {
  return Math.max(1, Math.floor(count / threads));
}

function shareOfRate({ perSecond, burst }: Rate, threads: number): Rate {
  return { perSecond: perSecond / threads, burst: shareOf(burst, threads) };
}

/** Where requests cannot wait for one another (Workers) nobody has turns. */
function turnsOf(options: GatewayOptions, bounds: RouteLimits | undefined): number | undefined {
  const own = options.timersEndWithRequests === true ? undefined : bounds?.concurrentRequests;
  return own === undefined ? undefined : shareOf(own, options.threads ?? 1);
}

/** The tenants' admin app, at `/_/` of every tenant that is served. */
async function tenantDashboard(
  { table, source, dashboards }: GatewayOptions,
  slug: Slug,
  request: Incoming,
): Promise<Response | undefined> {
  const { pathname } = pathOf(request);
  if (pathname !== "/_" && !pathname.startsWith("/_/")) return undefined;
  const route = table.find(slug) ?? (await source.find({ slug }));
  refuseByState(route, slug);
  return (
    (await serveDashboard(dashboards, "tenant", pathname.slice(2), request)) ??
    // Not 200: tools ask by this whether it is there.
    page(404, "The admin UI of this application", [
      "It is not part of this release yet.",
      "Until then its API does all that it would do, and an operator has the command line tool.",
    ])
  );
}

/** A tenant's bound can only be below the gateway's. */
function bodyOf(
  options: GatewayOptions,
  request: Incoming,
  bounds: RouteLimits | undefined,
  socket: boolean,
): Promise<ReplayableBody> | ReplayableBody {
  if (socket) return NO_BODY_ONCE;
  const own = bounds?.bodyBytes;
  if (options.bodiesAreBounded === true && own === undefined && request.body !== null) {
    const length = Number(request.headers.get("content-length") ?? Number.NaN);
    if (!(length <= limits.holdBodyBytesMax)) return { again: false, take: () => request.body };
  }
  const bytesMax = Math.min(own ?? Number.POSITIVE_INFINITY, options.bodyBytesMax ?? limits.importBytesMax);
  return replayableBody(request, bytesMax, options.clientWaitMs);
}

function refuseLongAddress(request: Incoming): void {
  if (request.url.length > limits.urlCharactersMax) {
    throw new UserError("too_large", "Cannot take this request: its address is too long");
  }
}
