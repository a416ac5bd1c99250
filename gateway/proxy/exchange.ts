import { HEADERS } from "../../shared/protocol/headers.ts";
import type { Allowance } from "./rate-limits.ts";
import type { Incoming } from "./incoming.ts";

/** Where a request came from. */
export interface Client {
  /** The address of the connection. */
  address: string;
  /** `http` or `https`, as the client spoke to this gateway. */
  protocol: string;
}

/** One request and its answer, as logs and metrics see it. Never a header's value, a query or a body. */
export interface Exchange {
  readonly requestId: string;
  /** W3C trace context, version 00. */
  readonly traceparent: string;
  /** The client sent none that could be read. */
  readonly newTrace: boolean;
  readonly startedMs: number;
  readonly client: Client;
  /** `tenant`, `operators`, `platform` (pages of our own) or `unknown`. */
  kind: string;
  tenant?: string;
  incarnation?: number;
  /** A route with a worker was in the table. */
  routeKnown: boolean;
  retries: number;
  /** How long it waited for a route, a load or a takeover. */
  heldMs: number;
  /** From sending it to the worker until its answer's head, the last try. */
  upstreamMs?: number;
  /** The rate limit that the client is nearest to. */
  allowance?: Allowance;
}

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;
const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.{1,256})?$/;

/** Takes the client's request id and trace over when they are well-formed, and makes new ones otherwise. */
export function openExchange(request: Incoming, client: Client): Exchange {
  const id = request.headers.get(HEADERS.requestId);
  const trace = request.headers.get("traceparent");
  const kept = trace !== null && TRACEPARENT.test(trace);
  const made = crypto.randomUUID();
  return {
    requestId: id !== null && REQUEST_ID.test(id) ? id : made,
    traceparent: kept ? trace : newTrace(made),
    newTrace: !kept,
    startedMs: performance.now(),
    client,
    kind: "unknown",
    routeKnown: false,
    retries: 0,
    heldMs: 0,
  };
}

/** Not sampled: whether a trace is kept is for those to say who keep traces. */
function newTrace(uuid: string): string {
  const tail = uuid.slice(20, 23) + uuid.slice(24);
  const head = uuid.slice(0, 8) + uuid.slice(9, 13) + uuid.slice(14, 18);
  // The last digits are random ones and can hardly be all zero; the first one makes sure.
  return `00-${head}${uuid.charAt(19)}${tail}-1${tail}-00`;
}
