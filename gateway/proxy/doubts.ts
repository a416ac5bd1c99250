import { limits } from "../../shared/limits.ts";

/** A request that waits for its answer, as it is looked after when that takes long. It waits once. */
export abstract class Waiting {
  readonly sinceMs = performance.now();
  askAtMs = Number.POSITIVE_INFINITY;
  watched = false;
  open = false;
  /** Those that began to wait before it and after it. */
  older: Waiting | undefined = undefined;
  newer: Waiting | undefined = undefined;
  /** Of its own. */
  timer: ReturnType<typeof setInterval> | undefined = undefined;

  /** Once, as soon as it is no short wait: looks after the client, who may leave. */
  abstract watch(): void;
  /** Again and again: asks about the worker. */
  abstract ask(): void;
}

/**
 * Looks after requests that have waited long for their answer, until they end. One timer looks at all of them, since a timer for each,
 * or a listener at its client, would cost more than the rest of most requests, which are over before. For the same reason they are
 * a list by links of their own.
 */
export class Doubts {
  #oldest: Waiting | undefined;
  #newest: Waiting | undefined;
  readonly #shared: boolean;
  readonly #askEveryMs: number;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param shared false where the runtime ends a timer with the request that set it: then each has its own */
  constructor(shared: boolean, askEveryMs: number = limits.upstreamDoubtMs) {
    this.#shared = shared;
    this.#askEveryMs = askEveryMs;
  }

  /** To be closed when the wait is over. */
  open(waiting: Waiting): void {
    waiting.open = true;
    if (!this.#shared) {
      waiting.watch();
      waiting.timer = setInterval(() => waiting.ask(), this.#askEveryMs);
      return;
    }
    waiting.askAtMs = waiting.sinceMs + this.#askEveryMs;
    const before = this.#newest;
    waiting.older = before;
    if (before === undefined) this.#oldest = waiting;
    else before.newer = waiting;
    this.#newest = waiting;
    this.#timer ??= setInterval(() => this.#look(), limits.clientWatchMs);
  }

  close(waiting: Waiting): void {
    if (!waiting.open) return;
    waiting.open = false;
    if (!this.#shared) {
      clearInterval(waiting.timer);
      return;
    }
    const { older, newer } = waiting;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    waiting.older = undefined;
    waiting.newer = undefined;
  }

  #look(): void {
    const nowMs = performance.now();
    for (const waiting of this.#long(nowMs)) {
      if (!waiting.open) continue;
      if (!waiting.watched) {
        waiting.watched = true;
        waiting.watch();
      }
      if (nowMs < waiting.askAtMs) continue;
      waiting.askAtMs = nowMs + this.#askEveryMs;
      waiting.ask();
    }
    if (this.#oldest !== undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** As of now: whoever is looked after may end, and others with it. */
  #long(nowMs: number): Waiting[] {
    const long: Waiting[] = [];
    for (let one = this.#oldest; one !== undefined; one = one.newer) {
      if (nowMs - one.sinceMs < limits.clientWatchMs) break;
      long.push(one);
    }
    return long;
  }
}
