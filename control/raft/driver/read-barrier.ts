import { SystemError } from "../../../shared/errors.ts";

interface Waiter {
  deadlineMs: number;
  resolve(): void;
  reject(error: unknown): void;
}

interface Round {
  context: string;
  waiters: Waiter[];
  /** Set once the leader has answered. */
  index: number | undefined;
  askedAtMs: number;
}

/**
 * Linearizable reads: everyone who asks while a round is under way shares the next one, so any number of readers costs one
 * read index at a time.
 */
export class ReadBarrier {
  readonly #ask: (context: string) => boolean;
  readonly #nonce: string;
  readonly #retryMs: number;
  #sequence = 0;
  #round: Round | undefined;
  #next: Waiter[] = [];

  /** `nonce` is new at every start of the process, so that an answer to an earlier life's read is never taken for one of this. */
  constructor(ask: (context: string) => boolean, nonce: string, retryMs: number) {
    this.#ask = ask;
    this.#nonce = nonce;
    this.#retryMs = retryMs;
  }

  wait(nowMs: number, deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#next.push({ deadlineMs, resolve, reject });
      if (this.#round === undefined) this.#start(nowMs);
    });
  }

  confirmed(context: string, index: number): void {
    if (this.#round?.context === context) this.#round.index = index;
  }

  /** The state machine has reached `applied`. */
  reached(applied: number, nowMs: number): void {
    while (this.#round?.index !== undefined && this.#round.index <= applied) {
      const { waiters } = this.#round;
      this.#round = undefined;
      for (const waiter of waiters) waiter.resolve();
      if (this.#next.length > 0) this.#start(nowMs);
    }
  }

  /** Asks again what got no answer; gives up for those whose time is over. */
  tick(nowMs: number): void {
    if (this.#round === undefined) return;
    const waiters = [...this.#round.waiters, ...this.#next];
    for (const waiter of waiters) {
      if (waiter.deadlineMs <= nowMs) waiter.reject(noLeader());
    }
    this.#next = this.#next.filter((waiter) => waiter.deadlineMs > nowMs);
    this.#round.waiters = this.#round.waiters.filter((waiter) => waiter.deadlineMs > nowMs);
    if (this.#round.index !== undefined || nowMs - this.#round.askedAtMs < this.#retryMs) return;
    this.#next = [...this.#round.waiters, ...this.#next];
    this.#round = undefined;
    if (this.#next.length > 0) this.#start(nowMs);
  }

  rejectAll(error: unknown): void {
    for (const waiter of [...(this.#round?.waiters ?? []), ...this.#next]) waiter.reject(error);
    this.#round = undefined;
    this.#next = [];
  }

  #start(nowMs: number): void {
    this.#sequence += 1;
    const context = `${this.#nonce}:${this.#sequence}`;
    this.#round = { context, waiters: this.#next, index: undefined, askedAtMs: nowMs };
    this.#next = [];
    // Without a leader there is nobody to wait for: ask again at the next tick.
    if (!this.#ask(context)) this.#round.askedAtMs = Number.NEGATIVE_INFINITY;
  }
}

function noLeader(): SystemError {
  return new SystemError("control_no_leader", "Cannot read: no leader confirmed the state in time", {
    hint: "A majority of the control members must be up and reach one another.",
    retryAfterMs: 1_000,
  });
}
