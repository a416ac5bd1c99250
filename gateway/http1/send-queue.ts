import { limits } from "../../shared/limits.ts";

/** Has something to send. */
export interface Sender {
  /** Gives it to the system. Must not throw. */
  sendNow: () => void;
}

/**
 * Who has something to send in this turn of the event loop. All of it goes to the system together at the turn's end: the system's code for
 * that is large, and would otherwise drive ours out of the processor's cache, and be driven out, at every message.
 */
export class SendQueue {
  #waiting: Sender[] = [];
  #sending = false;
  readonly #atTurnsEnd: (send: () => void) => void;
  readonly #emptied: () => void;

  /** @param emptied told when all was given to the system */
  constructor(atTurnsEnd: (send: () => void) => void, emptied: () => void = () => undefined) {
    this.#atTurnsEnd = atTurnsEnd;
    this.#emptied = emptied;
  }

  add(sender: Sender): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) this.#atTurnsEnd(this.send);
    waiting.push(sender);
    if (waiting.length >= limits.sendQueueMax) this.send();
  }

  /** Does not wait for the turn's end. */
  readonly send = (): void => {
    const senders = this.#waiting;
    if (senders.length === 0) return;
    const outer = !this.#sending;
    this.#waiting = [];
    this.#sending = true;
    for (const sender of senders) sender.sendNow();
    if (!outer) return;
    this.#sending = false;
    // What one of them led to may wait already.
    if (this.#waiting.length === 0) this.#emptied();
  };
}
