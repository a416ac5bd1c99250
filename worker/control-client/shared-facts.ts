/**
 * Numbers that a worker's main thread and its beat thread share, each written by one of them. Aligned 64-bit floats: never seen torn
 * on the machines that Bun runs on.
 */
export interface SharedFacts {
  readonly memory: SharedArrayBuffer;
  /** Until when the lease holds, on the main thread's clock. Written by the beat thread. */
  readonly leaseUntilMs: Float64Array;
  /** 1: control has given this incarnation up. Written by the beat thread. */
  readonly dead: Float64Array;
  /** How far this machine's clock is ahead of control's, in milliseconds. Written by the beat thread. */
  readonly skewMs: Float64Array;
  /** The rest is written by the main thread: when it last ticked (its clock), and what beats tell of it. */
  readonly tickMs: Float64Array;
  readonly durableSeq: Float64Array;
  readonly tenants: Float64Array;
  /** 1: it stops and takes no new tenants. */
  readonly draining: Float64Array;
}

const FACTS = 7;

export function sharedFacts(
  memory = new SharedArrayBuffer(FACTS * Float64Array.BYTES_PER_ELEMENT),
): SharedFacts {
  const at = (index: number): Float64Array =>
    new Float64Array(memory, index * Float64Array.BYTES_PER_ELEMENT, 1);
  return {
    memory,
    leaseUntilMs: at(0),
    tickMs: at(1),
    durableSeq: at(2),
    tenants: at(3),
    draining: at(4),
    dead: at(5),
    skewMs: at(6),
  };
}
