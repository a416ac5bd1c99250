const TRACE_BYTES = 16;
const SPAN_BYTES = 8;
const TOGETHER = 128;

/** Random bytes of a trace and its first span, for so many of them. */
const random = new Uint8Array((TRACE_BYTES + SPAN_BYTES) * TOGETHER);
const digits = random.length * 2;
let text = "";
let at = digits;

/**
 * A new trace, as W3C's `traceparent` of version 00. Not sampled: whether a trace is kept is for those to say who keep traces. Random ones
 * are drawn for many requests at a time, which costs a fraction of one at a time.
 */
export function newTrace(): string {
  if (at === digits) {
    crypto.getRandomValues(random);
    // An id must not be all zero.
    for (let i = 0; i < random.length; i += SPAN_BYTES) random[i] = (random[i] ?? 0) | 1;
    text = random.toHex();
    at = 0;
  }
  const span = at + TRACE_BYTES * 2;
  const trace = `00-${text.slice(at, span)}-${text.slice(span, span + SPAN_BYTES * 2)}-00`;
  at = span + SPAN_BYTES * 2;
  return trace;
}
