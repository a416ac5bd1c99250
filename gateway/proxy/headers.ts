import { HEADERS } from "../../shared/protocol/headers.ts";

/** Hop-by-hop by RFC 9110 §7.6.1, and what a proxy must set anew. */
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
  "host",
  "expect",
];

/** What only the platform may say: a client's own are dropped. */
const OURS = [
  HEADERS.grant,
  HEADERS.signature,
  HEADERS.notRun,
  HEADERS.tenantId,
  HEADERS.forwardedFor,
  HEADERS.forwardedProto,
  HEADERS.forwardedHost,
  "forwarded",
  "x-real-ip",
];

export interface Client {
  /** The address of the connection. */
  address: string;
  /** `http` or `https`, as the client spoke to this gateway. */
  protocol: string;
}

/** Headers for the upstream: the client's, without hop-by-hop and spoofed ones, with where it came from. */
export function requestHeaders(request: Request, client: Client): Headers {
  const headers = new Headers(request.headers);
  dropListed(headers);
  for (const name of HOP_BY_HOP) headers.delete(name);
  for (const name of OURS) headers.delete(name);
  headers.set(HEADERS.forwardedFor, client.address);
  headers.set(HEADERS.forwardedProto, client.protocol);
  headers.set(HEADERS.forwardedHost, request.headers.get("host") ?? "");
  if (!headers.has(HEADERS.requestId)) headers.set(HEADERS.requestId, crypto.randomUUID());
  // fetch would decode a compressed body and leave its headers: ask for plain bytes.
  headers.set("accept-encoding", "identity");
  return headers;
}

/** Headers for the client: the upstream's, without hop-by-hop ones and without what is between gateway and worker. */
export function responseHeaders(upstream: Headers): Headers {
  const headers = new Headers(upstream);
  dropListed(headers);
  for (const name of HOP_BY_HOP) headers.delete(name);
  headers.delete(HEADERS.notRun);
  return headers;
}

/** `Connection: x` makes x hop-by-hop too. */
function dropListed(headers: Headers): void {
  for (const name of (headers.get("connection") ?? "").split(",")) {
    const trimmed = name.trim();
    if (/^[A-Za-z0-9-]+$/.test(trimmed)) headers.delete(trimmed);
  }
}
