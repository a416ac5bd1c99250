import type { DashboardFiles } from "../dashboards/serve-file.ts";
import { asciiHost } from "../host.ts";
import { type Gateway, createGateway } from "../app.ts";
import { parseRate } from "../options.ts";
import { RouteSource } from "../routes/route-source.ts";
import { RouteTable } from "../routes/route-table.ts";
import { limits } from "../../shared/limits.ts";
import { parseKeyring } from "../../shared/protocol/keys.ts";

/** Variables and secrets of the Worker; as the gateway's environment variables elsewhere. */
export interface WorkersEnvironment {
  MANYBASE_CONTROL_URL: string;
  MANYBASE_DOMAIN: string;
  /** A secret. */
  MANYBASE_GATEWAY_KEY: string;
  MANYBASE_GATEWAY_TENANT_RATE?: string;
  MANYBASE_GATEWAY_CLIENT_RATE?: string;
  MANYBASE_GATEWAY_ALLOW_TENANT_HEADER?: string;
  /** The dashboards' built files, in folders operators, customers and tenant. */
  ASSETS?: { fetch: (request: Request) => Promise<Response> };
}

/** What the Web's types do not say of a response that is a WebSocket's. */
type SocketResponse = Response & { webSocket?: object | null };
type SocketInit = ResponseInit & { webSocket: object };

declare const FixedLengthStream: new (
  bytes: number,
) => TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>;

let gateway: Gateway | undefined;

/**
 * An isolate lives for a while and serves many requests, but may not keep a connection beyond one of them: there is no stream, so a
 * route is believed for a short time and then asked for again, and requests wait for no other request's answer.
 */
function create(environment: WorkersEnvironment): Gateway {
  const table = new RouteTable({ lifeMs: limits.routeLifeMs });
  const keys = parseKeyring(environment.MANYBASE_GATEWAY_KEY, "MANYBASE_GATEWAY_KEY");
  const send = ((url: string, init: RequestInit) => fetch(url, init)) as typeof fetch;
  const source = new RouteSource(table, {
    controlUrl: environment.MANYBASE_CONTROL_URL,
    keys,
    fetch: send,
    onDemand: true,
  });
  const tenantRate = parseRate(
    environment.MANYBASE_GATEWAY_TENANT_RATE ?? String(limits.tenantRequestsPerSecond),
    "MANYBASE_GATEWAY_TENANT_RATE",
    2,
  );
  const clientRate = parseRate(
    environment.MANYBASE_GATEWAY_CLIENT_RATE ?? String(limits.clientRequestsPerSecond),
    "MANYBASE_GATEWAY_CLIENT_RATE",
    4,
  );
  return createGateway({
    domain: asciiHost(environment.MANYBASE_DOMAIN).toLowerCase(),
    keys,
    table,
    source,
    fetch: send,
    ...(tenantRate === undefined ? {} : { tenantRate }),
    ...(clientRate === undefined ? {} : { clientRate }),
    ...(environment.ASSETS === undefined ? {} : { dashboards: filesOf(environment.ASSETS) }),
    bodiesAreBounded: true,
    timersEndWithRequests: true,
    turns: { totalMax: Number.POSITIVE_INFINITY, tenantMax: Number.POSITIVE_INFINITY },
    tenantHeader: environment.MANYBASE_GATEWAY_ALLOW_TENANT_HEADER !== undefined,
    onError: (error) =>
      console.error(
        JSON.stringify({
          part: "gateway",
          level: "error",
          time: Date.now(),
          message: error instanceof Error ? (error.stack ?? error.message) : String(error),
        }),
      ),
  });
}

/** The binding knows caching and codings by itself. */
function filesOf(assets: NonNullable<WorkersEnvironment["ASSETS"]>): DashboardFiles {
  return async (dashboard, path, { method, headers }) => {
    if (method !== "GET" && method !== "HEAD") return new Response(null, { status: 204 });
    const url = new URL(`/${dashboard}/${path}`, "https://assets.local");
    const found = await assets.fetch(new Request(url, { method, headers }));
    return found.ok || found.status === 304 ? found : undefined;
  };
}

/** Joins the client with the worker by handing on the runtime's own end of the connection. */
async function upgrade(target: {
  url: string;
  headers: Headers;
  protocols: readonly string[];
}): Promise<Response> {
  const headers = new Headers(target.headers);
  headers.set("upgrade", "websocket");
  if (target.protocols.length > 0) headers.set("sec-websocket-protocol", target.protocols.join(", "));
  const upstream: SocketResponse = await fetch(target.url, { headers });
  if (upstream.webSocket === undefined || upstream.webSocket === null) {
    return new Response("Cannot upgrade this connection\n", { status: 400 });
  }
  const protocol = upstream.headers.get("sec-websocket-protocol");
  const init: SocketInit = {
    status: 101,
    webSocket: upstream.webSocket,
    ...(protocol === null ? {} : { headers: { "sec-websocket-protocol": protocol } }),
  };
  return new Response(null, init);
}

/** Cloudflare's edge sets the address and drops a client's own. */
export default {
  async fetch(request: Request, environment: WorkersEnvironment): Promise<Response> {
    gateway ??= create(environment);
    const response = await gateway.fetch(request, {
      client: {
        address: request.headers.get("cf-connecting-ip") ?? "",
        protocol: request.url.startsWith("https:") ? "https" : "http",
      },
      upgrade,
    });
    return withLength(response);
  },
};

/** The runtime believes no length that a header says, only that of the stream itself. */
function withLength(response: Response): Response {
  const length = response.headers.get("content-length");
  if (response.body === null || length === null || response.headers.has("content-encoding")) return response;
  const { readable, writable } = new FixedLengthStream(Number(length));
  // What breaks here breaks the client's stream too, which is how it is told.
  void response.body.pipeTo(writable).catch(() => undefined);
  return new Response(readable, response);
}
