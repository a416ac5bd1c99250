import { Hono } from "hono";
import { SystemError, UserError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { type Slug, parseSlug, parseTenantId } from "../shared/ids.ts";
import { HEADERS } from "../shared/protocol/headers.ts";
import { readHost } from "./host.ts";
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
import { type TenantProxy, type TenantProxyState, serveTenant } from "./proxy/serve-tenant.ts";
import { Turns, type TurnsOptions } from "./proxy/turns.ts";
import type { Try } from "./proxy/try-worker.ts";

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

interface State {
  options: GatewayOptions;
  proxy: TenantProxyState;
  turns: Turns;
  tenantRates: RateLimiter | undefined;
  clientRates: RateLimiter | undefined;
}

/** The gateway as a pure function over fetch; adapters/ run it on a runtime. */
export function createGateway(options: GatewayOptions): Gateway {
  const { source, table, tenantRate, clientRate, turns } = options;
  const state: State = {
    options,
    proxy: {
      ...options,
      send: options.send ?? sendByFetch(options.fetch ?? fetch),
      decodesBodies: options.send === undefined && options.decodesBodies === true,
      grants: new GrantSigner(options.keys),
      breakers: new Breakers(),
      doubts: new Doubts(options.timersEndWithRequests !== true),
      holding: 0,
    },
    turns: new Turns(turns ?? { totalMax: limits.turnsMax, tenantMax: limits.turnsPerTenantMax }),
    tenantRates: tenantRate === undefined ? undefined : new RateLimiter(tenantRate),
    clientRates: clientRate === undefined ? undefined : new RateLimiter(clientRate),
  };
  const app = new Hono<{ Bindings: GatewayBindings }>();
  app.all("*", async ({ req: { raw: request }, env: { client, upgrade } }) => {
    const exchange = openExchange(request, client);
    const response = await answer(state, request, exchange, upgrade).catch((error: unknown) => {
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
  upgrade: GatewayBindings["upgrade"],
): Promise<Response> {
  const { options } = state;
  const { domain } = options;
  refuseLongAddress(request);
  const { address } = exchange.client;
  if (state.clientRates !== undefined && !LOOPBACK.test(address)) {
    exchange.allowance = state.clientRates.take(clientName(address));
    refuseWhenEmpty(exchange.allowance, "this address");
  }
  const host = readHost(request.headers.get("host"), domain);
  const slug = host.kind === "tenant" ? host.slug : tenantOfHeader(state, request, host.kind);
  if (slug !== undefined) return answerTenant(state, slug, request, exchange, upgrade);
  switch (host.kind) {
    case "operators":
      exchange.kind = "operators";
      return serveOperators({ ...options, controlUrl: options.source.controlUrl }, request, exchange);
    case "customers":
      exchange.kind = "platform";
      return page(200, "Your applications", [
        "The customers' dashboard is not part of this release yet: sign-up and self-service come with it.",
        "Until then an operator makes applications with the command line tool.",
      ]);
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
  { options, proxy, turns, tenantRates }: State,
  slug: Slug,
  request: Request,
  exchange: Exchange,
  upgrade: GatewayBindings["upgrade"],
): Promise<Response> {
  exchange.kind = "tenant";
  exchange.tenant = slug;
  if (tenantRates !== undefined) {
    const allowance = tenantRates.take(slug);
    // The client is told of the bound that it is nearer to.
    if (exchange.allowance === undefined || allowance.remaining < exchange.allowance.remaining) {
      exchange.allowance = allowance;
    }
    refuseWhenEmpty(allowance, "this application's clients");
  }
  const socket = request.headers.get("upgrade")?.toLowerCase() === "websocket";
  const body = socket ? NO_BODY_ONCE : await bodyOf(options, request);
  const taken = turns.take(slug, request.signal);
  const end = typeof taken === "function" ? taken : await taken;
  try {
    return await serveTenant(proxy, slug, {
      request,
      exchange,
      body,
      ...(socket && upgrade !== undefined ? { upgrade } : {}),
    });
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

function bodyOf(options: GatewayOptions, request: Request): Promise<ReplayableBody> | ReplayableBody {
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  if (options.bodiesAreBounded === true && request.body !== null && !(length <= limits.holdBodyBytesMax)) {
    return { again: false, take: () => request.body };
  }
  return replayableBody(request, options.bodyBytesMax);
}

function refuseLongAddress(request: Request): void {
  if (request.url.length > limits.urlCharactersMax) {
    throw new UserError("too_large", "Cannot take this request: its address is too long");
  }
}
