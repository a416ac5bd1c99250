import type { Incarnation, LogSeq } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { WorkerLoad } from "../domain/place.ts";

export interface Beat extends WorkerLoad {
  /** Highest slot of its log that the worker knows durable. */
  seq: LogSeq;
}

interface Lease {
  seenMs: number;
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

  /** Counts as just seen: a worker that registered, or one that a new leader found in the state. */
  add(incarnation: Incarnation): void {
    this.#leases.set(incarnation, { seenMs: this.#elapsedMs, beats: 0 });
  }

  remove(incarnation: Incarnation): void {
    this.#leases.delete(incarnation);
  }

  /** A worker that the state calls live but that has no lease (it registered with an earlier leader) gets one. */
  renew(incarnation: Incarnation, beat: Beat): void {
    const beats = this.#leases.get(incarnation)?.beats ?? 0;
    this.#leases.set(incarnation, { seenMs: this.#elapsedMs, beats: beats + 1, beat });
  }

  /** A fact says that the process is gone: its lease runs out now, unless it beats again. */
  expire(incarnation: Incarnation): void {
    const lease = this.#leases.get(incarnation);
    if (lease === undefined) return;
    lease.seenMs = this.#elapsedMs - limits.leaseMs;
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
    const silentMs = this.silentMs(incarnation);
    return silentMs !== undefined && silentMs >= limits.leaseMs;
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
