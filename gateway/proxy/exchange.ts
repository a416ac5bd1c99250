import { HEADERS } from "../../shared/protocol/headers.ts";
import type { Allowance } from "./rate-limits.ts";
import type { Incoming } from "./incoming.ts";
import { newTrace } from "./trace.ts";
import type { Turn } from "./turns.ts";

/** Where a request came from. */
export interface Client {
  /** The address of the connection. */
  address: string;
  /** `http` or `https`, as the client spoke to this gateway. */
  protocol: string;
}

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;
const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.{1,256})?$/;

/** One request and its answer, as logs and metrics see it. Never a header's value, a query or a body. */
export class Exchange {
  /** The client's, or one of its own: that of the trace, if that is of its own, too. */
  readonly requestId: string;
  /** W3C trace context, version 00. */
  readonly traceparent: string;
  /** The client sent none that could be read. */
  readonly newTrace: boolean;
  readonly startedMs = performance.now();
  readonly client: Client;
  /** `tenant`, `operators`, `platform` (pages of our own) or `unknown`. */
  kind = "unknown";
  tenant: string | undefined = undefined;
  incarnation: number | undefined = undefined;
  /** A route with a worker was in the table. */
  routeKnown = false;
  retries = 0;
  /** How long it waited for a route, a load or a takeover. */
  heldMs = 0;
  /** From sending it to the worker until its answer's head, the last try. */
  upstreamMs: number | undefined = undefined;
  /** The rate limit that the client is nearest to. */
  allowance: Allowance | undefined = undefined;
  /** At the workers, until the answer's head. */
  turn: Turn | undefined = undefined;

  /** Takes the client's request id and trace over when they are well-formed, and makes new ones otherwise. */
  constructor({ headers }: Incoming, client: Client) {
    const id = headers.get(HEADERS.requestId);
    const trace = headers.get("traceparent");
    const kept = trace !== null && TRACEPARENT.test(trace);
    const made = newTrace();
    this.traceparent = kept ? trace : made;
    this.requestId = id !== null && REQUEST_ID.test(id) ? id : made.slice(3, 35);
    this.newTrace = !kept;
    this.client = client;
  }
}
