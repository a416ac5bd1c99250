/** What clients saw of a store of registers: the input of the checker. */

/** Values are unique over a history but for the absent one, null, so that a value names the write that made it. */
export type Value = string | null;

export type Operation =
  | { kind: "read"; value: Value }
  | { kind: "write"; value: string }
  /** Writes if the present value is `expected`. */
  | { kind: "swap"; expected: Value; value: string }
  /** Was refused because the present value was `seen`. */
  | { kind: "refused"; expected: Value; seen: Value };

export interface Event {
  key: string;
  client: string;
  operation: Operation;
  calledAt: number;
  /** Infinity: nobody knows whether it happened, and it may still happen at any later time. */
  returnedAt: number;
}

/** Records events as they happen. A call of unknown fate is a call that returns at no time. */
export class History {
  readonly events: Event[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  now(): number {
    return this.#now();
  }

  returned(key: string, client: string, operation: Operation, calledAt: number): void {
    this.events.push({ key, client, operation, calledAt, returnedAt: this.#now() });
  }

  /** Reads and refusals of unknown fate say nothing and are left out. */
  lost(key: string, client: string, operation: Operation, calledAt: number): void {
    if (operation.kind === "read" || operation.kind === "refused") return;
    this.events.push({ key, client, operation, calledAt, returnedAt: Number.POSITIVE_INFINITY });
  }
}
