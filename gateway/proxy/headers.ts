import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import type { Exchange } from "./exchange.ts";
import type { Fields } from "./upstream.ts";
import type { Incoming } from "./incoming.ts";

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
export function requestFields(request: Incoming, exchange: Exchange, identity = false): Fields {
  let fields: Fields = [];
  let bytes = 0;
  let host = "";
  let connection: string | undefined;
  let encoded = false;
  for (const field of request.headers) {
    const name = field[0];
    const value = field[1];
    if (name === "host") host = value;
    if (name === "connection") connection = connection === undefined ? value : `${connection},${value}`;
    if (NOT_SENT.has(name)) continue;
    if (name === "accept-encoding") {
      if (identity) continue;
      encoded = true;
    }
    // A trace of ours does not go on with the states of one that could not be read.
    if (name === "tracestate" && exchange.newTrace) continue;
    bytes += name.length + value.length;
    fields.push(field);
  }
  if (connection !== undefined) fields = withoutListed(fields, connection);
  if (bytes > limits.headerBytesMax || fields.length > limits.headersMax) {
    throw new UserError("too_large", "Cannot take this request: its headers are too large");
  }
  const { address, protocol } = exchange.client;
  fields.push(
    [HEADERS.forwardedFor, address],
    [HEADERS.realIp, address],
    [HEADERS.forwardedProto, protocol],
    [HEADERS.forwardedHost, host],
    [HEADERS.requestId, exchange.requestId],
    ["traceparent", exchange.traceparent],
  );
  // Without one, some runtimes would ask for compressed answers in the client's name.
  if (!encoded) fields.push(["accept-encoding", "identity"]);
  return fields;
}

/** Fields for the client: the upstream's, without hop-by-hop ones and without what is between gateway and worker. */
export function responseFields(upstream: Iterable<[string, string]>): Fields {
  let fields: Fields = [];
  let connection: string | undefined;
  let length: string | undefined;
  for (const field of upstream) {
    const name = field[0];
    const value = field[1];
    if (name === "connection") connection = connection === undefined ? value : `${connection},${value}`;
    if (name === HEADERS.bodyLength) length = value;
    if (!NOT_ANSWERED.has(name)) fields.push(field);
  }
  if (connection !== undefined) fields = withoutListed(fields, connection);
  if (length !== undefined && /^[0-9]{1,15}$/.test(length)) {
    fields = fields.filter(([name]) => name !== "content-length");
    fields.push(["content-length", length]);
  }
  return fields;
}

/** `Connection: x` makes x hop-by-hop too. */
function withoutListed(fields: Fields, connection: string): Fields {
  const listed = connection.toLowerCase();
  if (listed === "keep-alive" || listed === "close" || listed === "upgrade") return fields;
  const names = listed.split(/\s*,\s*/);
  return fields.filter(([name]) => !names.includes(name));
}
