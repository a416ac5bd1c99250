import { HEADERS } from "../../shared/protocol/headers.ts";
import type { Exchange } from "./exchange.ts";

/** Hop-by-hop by RFC 9110 §7.6.1, and what a proxy must set anew. Trailers are not forwarded, so nobody is promised any. */
const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** What only the platform may say: a client's own are dropped. */
const OURS = [
  HEADERS.grant,
  HEADERS.signature,
  HEADERS.notRun,
  HEADERS.bodyLength,
  HEADERS.tenantId,
  HEADERS.requestId,
  HEADERS.forwardedFor,
  HEADERS.forwardedProto,
  HEADERS.forwardedHost,
  "forwarded",
  "x-real-ip",
  "x-forwarded-port",
  "x-forwarded-server",
  "x-forwarded-prefix",
  "traceparent",
  "host",
  "expect",
  "http2-settings",
];

const NOT_SENT: ReadonlySet<string> = new Set([...HOP_BY_HOP, ...OURS]);
const NOT_ANSWERED: ReadonlySet<string> = new Set([...HOP_BY_HOP, HEADERS.notRun, HEADERS.bodyLength]);

/**
 * Headers for the upstream: the client's, without hop-by-hop and spoofed ones, with where it came from.
 *
 * @param identity the runtime's fetch would take a compressed body off its encoding and leave the headers that name it: ask it not to
 */
export function requestHeaders(request: Request, exchange: Exchange, identity = false): Headers {
  const headers = keep(request.headers, NOT_SENT);
  headers.set(HEADERS.forwardedFor, exchange.client.address);
  headers.set(HEADERS.forwardedProto, exchange.client.protocol);
  headers.set(HEADERS.forwardedHost, request.headers.get("host") ?? "");
  headers.set(HEADERS.requestId, exchange.requestId);
  headers.set("traceparent", exchange.traceparent);
  // A trace of ours does not go on with the states of one that could not be read.
  if (request.headers.get("traceparent") !== exchange.traceparent) headers.delete("tracestate");
  // Without one, some runtimes would ask for compressed answers in the client's name.
  if (identity || !headers.has("accept-encoding")) headers.set("accept-encoding", "identity");
  return headers;
}

/** Headers for the client: the upstream's, without hop-by-hop ones and without what is between gateway and worker. */
export function responseHeaders(upstream: Headers): Headers {
  const headers = keep(upstream, NOT_ANSWERED);
  const length = upstream.get(HEADERS.bodyLength);
  if (length !== null && /^[0-9]{1,15}$/.test(length)) headers.set("content-length", length);
  return headers;
}

/** All but the named ones; `Connection: x` makes x hop-by-hop too. */
function keep(all: Headers, without: ReadonlySet<string>): Headers {
  const kept = new Headers();
  const listed = all
    .get("connection")
    ?.toLowerCase()
    .split(/\s*,\s*/);
  for (const [name, value] of all) {
    if (!without.has(name) && listed?.includes(name) !== true) kept.append(name, value);
  }
  return kept;
}
