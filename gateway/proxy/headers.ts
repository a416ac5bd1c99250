import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import type { Exchange } from "./exchange.ts";
import type { Fields } from "./upstream.ts";

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
  HEADERS.realIp,
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
 * Fields for the upstream: the client's, without hop-by-hop and spoofed ones, with where it came from.
 *
 * @param identity the runtime's fetch would take a compressed body off its encoding and leave the headers that name it: ask it not to
 * @throws UserError `too_large`
 */
export function requestFields(request: Request, exchange: Exchange, identity = false): Fields {
  const { headers } = request;
  const fields = keep(headers, NOT_SENT, headers.get("connection"));
  let bytes = 0;
  for (const [name, value] of fields) bytes += name.length + value.length;
  if (bytes > limits.headerBytesMax || fields.length > limits.headersMax) {
    throw new UserError("too_large", "Cannot take this request: its headers are too large");
  }
  fields.push(
    [HEADERS.forwardedFor, exchange.client.address],
    [HEADERS.realIp, exchange.client.address],
    [HEADERS.forwardedProto, exchange.client.protocol],
    [HEADERS.forwardedHost, headers.get("host") ?? ""],
    [HEADERS.requestId, exchange.requestId],
    ["traceparent", exchange.traceparent],
  );
  const encoding = fields.find(([name]) => name === "accept-encoding");
  // Without one, some runtimes would ask for compressed answers in the client's name.
  if (encoding === undefined) fields.push(["accept-encoding", "identity"]);
  else if (identity) encoding[1] = "identity";
  // A trace of ours does not go on with the states of one that could not be read.
  if (exchange.newTrace) return fields.filter(([name]) => name !== "tracestate");
  return fields;
}

/** Headers for the client: the upstream's, without hop-by-hop ones and without what is between gateway and worker. */
export function responseHeaders(upstream: Iterable<[string, string]>): Headers {
  const all = Array.isArray(upstream) ? (upstream as Fields) : [...upstream];
  const connection = all.find(([name]) => name === "connection")?.[1] ?? null;
  const headers = new Headers(keep(all, NOT_ANSWERED, connection));
  const length = all.find(([name]) => name === HEADERS.bodyLength)?.[1];
  if (length !== undefined && /^[0-9]{1,15}$/.test(length)) headers.set("content-length", length);
  return headers;
}

/** All but the named ones; `Connection: x` makes x hop-by-hop too. */
function keep(
  all: Iterable<[string, string]>,
  without: ReadonlySet<string>,
  connection: string | null,
): Fields {
  const listed = connection?.toLowerCase().split(/\s*,\s*/);
  const kept: Fields = [];
  for (const [name, value] of all) {
    if (!without.has(name) && listed?.includes(name) !== true) kept.push([name, value]);
  }
  return kept;
}
