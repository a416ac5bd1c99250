import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import { toLatin1 } from "../http1/head.ts";
import type { Outgoing } from "../http1/outgoing.ts";
import type { Client, Exchange } from "./exchange.ts";
import type { Fields } from "./upstream.ts";
import type { FieldReader, Incoming } from "./incoming.ts";

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
const NOT_ANSWERED: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  HEADERS.notRun,
  HEADERS.bodyLength,
  // Every answer gets its own.
  HEADERS.requestId,
]);

/** What of a request goes on as it is. */
export interface PassedOn {
  fields: Fields;
  host: string;
  /** More than a request may have. */
  large: boolean;
  /** The client says which encodings it takes. */
  encoded: boolean;
  /** `tracestate` is among them. */
  traced: boolean;
  /** Where it came from, as it was told last. */
  from: From | undefined;
}

interface From {
  address: string;
  protocol: string;
  identity: boolean;
  lines: string;
  /** The same, where it was put into a head. */
  bytes: Uint8Array | undefined;
}

/**
 * The client's fields for the upstream, without hop-by-hop and spoofed ones. Not to be changed: the same ones stand for all requests of a
 * connection that have them.
 *
 * @param identity the runtime's fetch would take a compressed body off its encoding and leave the headers that name it: ask it not to
 * @throws UserError `too_large`
 */
export function requestFields(request: Incoming, exchange: Exchange, identity = false): Fields {
  const { fields, large, encoded, traced } = passedOn(request.headers);
  if (large) throw new UserError("too_large", "Cannot take this request: its headers are too large");
  const own = identity && encoded;
  // A trace of ours does not go on with the states of one that could not be read.
  const state = traced && exchange.newTrace;
  if (!own && !state) return fields;
  return fields.filter(([name]) => !(own && name === "accept-encoding") && !(state && name === "tracestate"));
}

/** What goes along with them: where the request came from, as lines with their ends. */
export function forwardedLines(request: Incoming, exchange: Exchange, identity = false): string {
  const { lines } = fromOf(request, exchange, identity);
  const { requestId, traceparent } = exchange;
  return `${lines}${HEADERS.requestId}: ${requestId}\r\ntraceparent: ${traceparent}\r\n`;
}

/**
 * Puts the same into a head.
 *
 * @throws ProtocolError for what is not of bytes
 */
export function putForwarded(out: Outgoing, request: Incoming, exchange: Exchange, identity: boolean): void {
  const from = fromOf(request, exchange, identity);
  from.bytes ??= toLatin1(from.lines);
  out.put(from.bytes);
  exchange.putIds(out);
}

function fromOf({ headers }: Incoming, { client }: Exchange, identity: boolean): From {
  const known = passedOn(headers);
  const { address, protocol } = client;
  const { from } = known;
  if (from?.address === address && from.protocol === protocol && from.identity === identity) return from;
  const lines = fromLines(known, client, identity);
  known.from = { address, protocol, identity, lines, bytes: undefined };
  return known.from;
}

function fromLines({ host, encoded }: PassedOn, { address, protocol }: Client, identity: boolean): string {
  // Without one, some runtimes would ask for compressed answers in the client's name.
  const encoding = encoded && !identity ? "" : "accept-encoding: identity\r\n";
  return (
    `${encoding}${HEADERS.forwardedFor}: ${address}\r\n${HEADERS.realIp}: ${address}\r\n` +
    `${HEADERS.forwardedProto}: ${protocol}\r\n${HEADERS.forwardedHost}: ${host}\r\n`
  );
}

function passedOn(headers: FieldReader): PassedOn {
  if (headers.passedOn !== undefined) return headers.passedOn;
  const all = [...headers];
  const connection = listOf(all, "connection");
  const fields = withoutListed(
    all.filter(([name]) => !NOT_SENT.has(name)),
    connection,
  );
  const bytes = fields.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  const found: PassedOn = {
    fields,
    host: all.find(([name]) => name === "host")?.[1] ?? "",
    large: bytes > limits.headerBytesMax || fields.length > limits.headersMax,
    encoded: fields.some(([name]) => name === "accept-encoding"),
    traced: fields.some(([name]) => name === "tracestate"),
    from: undefined,
  };
  headers.passedOn = found;
  return found;
}

/** Fields for the client: the upstream's, without hop-by-hop ones and without what is between gateway and worker. Not to be changed. */
export function responseFields(upstream: Fields): Fields {
  if (upstream.answered !== undefined) return upstream.answered;
  const length = upstream.find(([name]) => name === HEADERS.bodyLength)?.[1];
  const kept = upstream.filter(([name]) => !NOT_ANSWERED.has(name));
  let fields: Fields = withoutListed(kept, listOf(upstream, "connection"));
  if (length !== undefined && /^[0-9]{1,15}$/.test(length)) {
    fields = fields.filter(([name]) => name !== "content-length");
    fields.push(["content-length", length]);
  }
  upstream.answered = fields;
  return fields;
}

function listOf(fields: Fields, wanted: string): string {
  let all = "";
  for (const [name, value] of fields) if (name === wanted) all += `,${value}`;
  return all.slice(1);
}

/** `Connection: x` makes x hop-by-hop too. */
function withoutListed(fields: Fields, connection: string): Fields {
  const listed = connection.toLowerCase();
  if (listed === "" || listed === "keep-alive" || listed === "close" || listed === "upgrade") return fields;
  const names = listed.split(/\s*,\s*/);
  return fields.filter(([name]) => !names.includes(name));
}
