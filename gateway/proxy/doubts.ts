import { limits } from "../../shared/limits.ts";

/** What a request that waits long for its answer needs. */
export interface Waiting {
  /** Once, as soon as it is no short wait: looks after the client, who may leave. */
  watch: () => void;
  /** Again and again: asks about the worker. */
  ask: () => void;
}

/** A request that waits, as it is looked after. */
export interface Doubt {
  waiting: Waiting;
  sinceMs: number;
  askAtMs: number;
  watched: boolean;
  /** Of its own. */
  timer: ReturnType<typeof setInterval> | undefined;
}

/**
 * Looks after requests that have waited long for their answer, until they end. One timer looks at all of them, since a timer for each,
 * or a listener at its client, would cost more than the rest of most requests, which are over before.
 */
export class Doubts {
  /** The oldest first. */
  readonly #open = new Set<Doubt>();
  readonly #shared: boolean;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param shared false where the runtime ends a timer with the request that set it: then each has its own */
  constructor(shared: boolean) {
    this.#shared = shared;
  }

  /** To be closed when the wait is over. */
  open(waiting: Waiting, sinceMs: number): Doubt {
    const askAtMs = sinceMs + limits.upstreamDoubtMs;
    const doubt: Doubt = { waiting, sinceMs, askAtMs, watched: false, timer: undefined };
    if (this.#shared) {
      this.#open.add(doubt);
      this.#timer ??= setInterval(() => this.#look(), limits.clientWatchMs);
    } else {
      waiting.watch();
      doubt.timer = setInterval(() => waiting.ask(), limits.upstreamDoubtMs);
    }
    return doubt;
  }

  close(doubt: Doubt): void {
    if (doubt.timer === undefined) this.#open.delete(doubt);
    else clearInterval(doubt.timer);
  }

  #look(): void {
    const nowMs = performance.now();
    for (const doubt of this.#open) {
      if (nowMs - doubt.sinceMs < limits.clientWatchMs) break;
      if (!doubt.watched) {
        doubt.watched = true;
        doubt.waiting.watch();
      }
      if (nowMs < doubt.askAtMs) continue;
      doubt.askAtMs = nowMs + limits.upstreamDoubtMs;
      doubt.waiting.ask();
    }
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
