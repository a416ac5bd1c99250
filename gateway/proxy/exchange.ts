import { toLatin1 } from "../http1/head.ts";
import type { Outgoing } from "../http1/outgoing.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import type { Allowance } from "./rate-limits.ts";
import type { Incoming } from "./incoming.ts";
import { Trace } from "./trace.ts";
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

const ID_NAME = toLatin1(`${HEADERS.requestId}: `);
const PARENT_NAME = toLatin1("traceparent: ");
const LINE_END = toLatin1("\r\n");

/** One request and its answer, as logs and metrics see it. Never a header's value, a query or a body. */
export class Exchange {
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
  /** What the client sent of them. */
  readonly #id: string | undefined;
  readonly #parent: string | undefined;
  /** For what it did not send. */
  readonly #own = new Trace();

  /** Takes the client's request id and trace over when they are well-formed, and makes new ones otherwise. */
  constructor({ headers }: Incoming, client: Client) {
    const id = headers.get(HEADERS.requestId);
    const parent = headers.get("traceparent");
    this.#id = id !== null && REQUEST_ID.test(id) ? id : undefined;
    this.#parent = parent !== null && TRACEPARENT.test(parent) ? parent : undefined;
    this.client = client;
  }

  /** The client's, or one of its own: that of the trace, if that is of its own, too. */
  get requestId(): string {
    return this.#id ?? this.#own.id;
  }

  /** W3C trace context, version 00. */
  get traceparent(): string {
    return this.#parent ?? this.#own.parent;
  }

  /** The client sent none that could be read. */
  get newTrace(): boolean {
    return this.#parent === undefined;
  }

  /** The id as a line. */
  putId(out: Outgoing): void {
    out.put(ID_NAME);
    if (this.#id === undefined) this.#own.putId(out);
    else out.text(this.#id);
    out.put(LINE_END);
  }

  /** Both as lines. */
  putIds(out: Outgoing): void {
    if (this.#id === undefined && this.#parent === undefined) {
      this.#own.putLines(out);
      return;
    }
    this.putId(out);
    out.put(PARENT_NAME);
    if (this.#parent === undefined) this.#own.putParent(out);
    else out.text(this.#parent);
    out.put(LINE_END);
  }
}
