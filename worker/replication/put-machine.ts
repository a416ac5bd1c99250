import type { PutOutcome } from "../../shared/objects/contract.ts";
import { limits } from "../../shared/limits.ts";

export type PutEvent =
  /** A new object for the next slot. Only when idle. */
  | { kind: "start"; atMs: number }
  | { kind: "outcome"; attempt: number; outcome: PutOutcome; atMs: number }
  /** What a look at the slot's holder found; `unreadable`: the look itself failed, or found nothing. */
  | { kind: "looked"; look: number; found: "own" | "foreign" | "unreadable"; atMs: number }
  | { kind: "tick"; atMs: number };

export type PutEffect =
  /** Send the same key and bytes (again). */
  | { kind: "put"; attempt: number }
  /** The slot is taken: GET its header and compare the nonce. */
  | { kind: "look"; look: number }
  /** Send `tick` at that time; replaces an earlier wish. */
  | { kind: "tickAt"; atMs: number }
  /** The object is in its slot. `sentMs`: a lower bound of when it was applied. */
  | { kind: "durable"; sentMs: number; tookMs: number }
  /** Someone else's object is in the slot: this incarnation is over. */
  | { kind: "fenced" };

interface Busy {
  startedMs: number;
  outstanding: Set<number>;
  hedgeAtMs: number;
  retryAtMs: number | undefined;
  retryDelayMs: number;
  /** The look that is under way. One of an earlier slot may still answer, and must not decide this one. */
  looking: number | undefined;
}

/**
 * The life of one commit log slot at a time: send, hedge when slow, send again when the answer was lost, look when the slot
 * turns out to be taken. Pure: time and randomness come in, effects go out. Retries end only with the incarnation.
 */
export class PutMachine {
  #busy: Busy | undefined;
  #attempts = 0;
  #looks = 0;
  #fenced = false;
  readonly #tookMs: number[] = [];
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  get idle(): boolean {
    return this.#busy === undefined && !this.#fenced;
  }

  /** When the object that is under way was first sent. */
  get startedMs(): number | undefined {
    return this.#busy?.startedMs;
  }

  step(event: PutEvent): PutEffect[] {
    if (this.#fenced) return [];
    if (event.kind === "start") return this.#start(event.atMs);
    const busy = this.#busy;
    // Late answers of hedges and timed-out tries come after the slot was decided.
    if (busy === undefined) return [];
    switch (event.kind) {
      case "outcome":
        return this.#outcome(busy, event.attempt, event.outcome, event.atMs);
      case "looked":
        if (event.look !== busy.looking) return [];
        busy.looking = undefined;
        if (event.found === "own") return this.#durable(busy, event.atMs);
        if (event.found === "foreign") {
          this.#fenced = true;
          return [{ kind: "fenced" }];
        }
        return this.#retryLater(busy, event.atMs);
      case "tick":
        return this.#tick(busy, event.atMs);
    }
  }

  #start(atMs: number): PutEffect[] {
    const attempt = ++this.#attempts;
    const hedgeAtMs = atMs + this.#hedgeAfterMs();
    this.#busy = {
      startedMs: atMs,
      outstanding: new Set([attempt]),
      hedgeAtMs,
      retryAtMs: undefined,
      retryDelayMs: limits.logRetryDelayMsMin,
      looking: undefined,
    };
    return [
      { kind: "put", attempt },
      { kind: "tickAt", atMs: hedgeAtMs },
    ];
  }

  #outcome(busy: Busy, attempt: number, outcome: PutOutcome, atMs: number): PutEffect[] {
    if (!busy.outstanding.delete(attempt)) return [];
    if (outcome === "created") return this.#durable(busy, atMs);
    if (outcome === "unknown") return this.#retryLater(busy, atMs);
    if (busy.looking !== undefined) return [];
    busy.looking = ++this.#looks;
    return [{ kind: "look", look: busy.looking }];
  }

  #tick(busy: Busy, atMs: number): PutEffect[] {
    if (busy.retryAtMs !== undefined) {
      if (atMs < busy.retryAtMs) return [{ kind: "tickAt", atMs: busy.retryAtMs }];
      busy.retryAtMs = undefined;
      return [this.#again(busy)];
    }
    // One hedge per slot: a store that is slow for all must not get double load for ever.
    if (busy.hedgeAtMs === Infinity) return [];
    if (atMs < busy.hedgeAtMs) return [{ kind: "tickAt", atMs: busy.hedgeAtMs }];
    if (busy.looking !== undefined || busy.outstanding.size === 0) return [];
    busy.hedgeAtMs = Infinity;
    return [this.#again(busy)];
  }

  #again(busy: Busy): PutEffect {
    const attempt = ++this.#attempts;
    busy.outstanding.add(attempt);
    return { kind: "put", attempt };
  }

  #retryLater(busy: Busy, atMs: number): PutEffect[] {
    // Another try is still under way or a retry is due already: its answer decides.
    if (busy.outstanding.size > 0 || busy.looking !== undefined || busy.retryAtMs !== undefined) return [];
    busy.retryAtMs = atMs + busy.retryDelayMs * (0.5 + this.#random() / 2);
    busy.retryDelayMs = Math.min(busy.retryDelayMs * 2, limits.logRetryDelayMsMax);
    return [{ kind: "tickAt", atMs: busy.retryAtMs }];
  }

  #durable(busy: Busy, atMs: number): PutEffect[] {
    this.#busy = undefined;
    const tookMs = atMs - busy.startedMs;
    this.#tookMs.push(tookMs);
    if (this.#tookMs.length > limits.logLatencySamples) this.#tookMs.shift();
    return [{ kind: "durable", sentMs: busy.startedMs, tookMs }];
  }

  /** The 95th percentile of late; a guess until there are enough samples. */
  #hedgeAfterMs(): number {
    if (this.#tookMs.length < limits.logLatencySamples / 4) return limits.logHedgeMsDefault;
    const sorted = this.#tookMs.toSorted((a, b) => a - b);
    const p95 = sorted[Math.floor(sorted.length * 0.95)] ?? limits.logHedgeMsDefault;
    return Math.min(Math.max(p95, limits.logHedgeMsMin), limits.logHedgeMsMax);
  }
}
