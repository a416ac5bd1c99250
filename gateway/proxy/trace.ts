import { HEADERS } from "../../shared/protocol/headers.ts";
import { toLatin1 } from "../http1/head.ts";
import type { Outgoing } from "../http1/outgoing.ts";

const TRACE_BYTES = 16;
const SPAN_BYTES = 8;
const BYTES = TRACE_BYTES + SPAN_BYTES;
const TOGETHER = 128;

/** With zeros for digits. */
const ID = "0".repeat(TRACE_BYTES * 2);
const NO_PARENT = `00-${ID}-${"0".repeat(SPAN_BYTES * 2)}-00`;
const PARENT = toLatin1(NO_PARENT);
const LINE_END = "\r\n";
const LINES = toLatin1(`${HEADERS.requestId}: ${ID}${LINE_END}traceparent: ${NO_PARENT}${LINE_END}`);

let random = new Uint8Array();
let next = 0;

/**
 * A new trace and its first span, as W3C's `traceparent` of version 00 has them. Not sampled: whether a trace is kept is for those to say who
 * keep traces. Random bytes are drawn for many at a time, which costs a fraction of one at a time, and become text when it is asked for.
 */
export class Trace {
  readonly #bytes: Uint8Array;
  readonly #at: number;

  constructor() {
    if (next === random.length) draw();
    this.#bytes = random;
    this.#at = next;
    next += BYTES;
  }

  /** 32 hex digits. */
  get id(): string {
    return this.#hex(0, TRACE_BYTES);
  }

  get parent(): string {
    return `00-${this.id}-${this.#hex(TRACE_BYTES, BYTES)}-00`;
  }

  putId(out: Outgoing): void {
    out.hex(this.#bytes, this.#at, TRACE_BYTES);
  }

  putParent(out: Outgoing): void {
    out.put(PARENT);
    this.#setParent(out, 0);
  }

  /** Both as lines. */
  putLines(out: Outgoing): void {
    out.put(LINES);
    out.setHex(LINES.length - HEADERS.requestId.length - 2, this.#bytes, this.#at, TRACE_BYTES);
    this.#setParent(out, LINE_END.length);
  }

  /** @param behind - what stands behind it */
  #setParent(out: Outgoing, behind: number): void {
    const trace = behind + PARENT.length - 3;
    out.setHex(trace, this.#bytes, this.#at, TRACE_BYTES);
    out.setHex(trace - TRACE_BYTES * 2 - 1, this.#bytes, this.#at + TRACE_BYTES, SPAN_BYTES);
  }

  #hex(from: number, to: number): string {
    return this.#bytes.subarray(this.#at + from, this.#at + to).toHex();
  }
}

/** Those before stay as they are, for who still has one of them. */
function draw(): void {
  random = new Uint8Array(BYTES * TOGETHER);
  crypto.getRandomValues(random);
  // An id must not be all zero.
  for (let i = 0; i < random.length; i += SPAN_BYTES) random[i] = (random[i] ?? 0) | 1;
  next = 0;
}
