import type { Incarnation, LogSeq } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { WorkerLoad } from "../domain/place.ts";

export interface Beat extends WorkerLoad {
  /** Highest slot of its log that the worker knows durable. */
  seq: LogSeq;
}

interface Lease {
  seenMs: number;
  /** How long it may be silent. */
  patienceMs: number;
  beats: number;
  beat?: Beat;
  /** Its process was seen to be gone. */
  gone?: true;
}

/**
 * Who was heard of when, in the leader's memory only. Time is the sum of this process's own ticks, each counted as at most two
 * tick lengths: while control itself stood still (a pause, a stalled event loop) nobody's lease runs out.
 */
export class Leases {
  readonly #leases = new Map<Incarnation, Lease>();
  #elapsedMs = 0;
  #tickedAtMs: number;

  constructor(monotonicMs: number) {
    this.#tickedAtMs = monotonicMs;
  }

  /** Called every `livenessTickMs`. */
  tick(monotonicMs: number): void {
    this.#elapsedMs += Math.min(monotonicMs - this.#tickedAtMs, 2 * limits.livenessTickMs);
    this.#tickedAtMs = monotonicMs;
  }

  /** Counts as just seen: one that a new leader found in the state. */
  add(incarnation: Incarnation, patienceMs: number = limits.leaseMs): void {
    this.#leases.set(incarnation, { seenMs: this.#elapsedMs, patienceMs, beats: 0 });
  }

  /**
   * One that just registered: its first beat may take longer, because the thread that beats starts then. Only control is more patient. The
   * worker's own lease is as short as ever, so it still ends before control's count does, whoever leads by then.
   */
  welcome(incarnation: Incarnation): void {
    this.add(incarnation, limits.firstLeaseMs);
  }

  remove(incarnation: Incarnation): void {
    this.#leases.delete(incarnation);
  }

  /** A worker that the state calls live but that has no lease (it registered with an earlier leader) gets one. */
  renew(incarnation: Incarnation, beat: Beat): void {
    const beats = this.#leases.get(incarnation)?.beats ?? 0;
    const patienceMs = limits.leaseMs;
    this.#leases.set(incarnation, { seenMs: this.#elapsedMs, patienceMs, beats: beats + 1, beat });
  }

  /** A fact says that the process is gone: its lease runs out now, unless it beats again. */
  expire(incarnation: Incarnation): void {
    const lease = this.#leases.get(incarnation);
    if (lease === undefined) return;
    lease.seenMs = this.#elapsedMs - lease.patienceMs;
    lease.gone = true;
  }

  /** Why it is given up, for the audit log. */
  why(incarnation: Incarnation): string {
    return this.#leases.get(incarnation)?.gone === true
      ? "nothing serves at its address and its beat is overdue"
      : "its lease ran out";
  }

  expired(): Incarnation[] {
    return [...this.#leases.keys()].filter((incarnation) => this.hasExpired(incarnation));
  }

  hasExpired(incarnation: Incarnation): boolean {
    const lease = this.#leases.get(incarnation);
    return lease !== undefined && this.#elapsedMs - lease.seenMs >= lease.patienceMs;
  }

  /** Since the last beat; undefined for an unknown worker. */
  silentMs(incarnation: Incarnation): number | undefined {
    const lease = this.#leases.get(incarnation);
    return lease === undefined ? undefined : this.#elapsedMs - lease.seenMs;
  }

  /** How often it has beaten, to see whether it did since. */
  beats(incarnation: Incarnation): number {
    return this.#leases.get(incarnation)?.beats ?? 0;
  }

  last(incarnation: Incarnation): Beat | undefined {
    return this.#leases.get(incarnation)?.beat;
  }
}
