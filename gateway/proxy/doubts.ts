import { limits } from "../../shared/limits.ts";

interface Doubt {
  askAtMs: number;
  ask: () => void;
}

/**
 * Asks about requests that have waited long for their answer, again and again until they end. One timer looks at all of them, since a
 * timer for each would cost more than the rest of most requests.
 */
export class Doubts {
  readonly #open = new Set<Doubt>();
  readonly #shared: boolean;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param shared false where the runtime ends a timer with the request that set it: then each has its own */
  constructor(shared: boolean) {
    this.#shared = shared;
  }

  /** @returns what ends it */
  open(ask: () => void): () => void {
    if (!this.#shared) {
      const timer = setInterval(ask, limits.upstreamDoubtMs);
      return () => clearInterval(timer);
    }
    const doubt = { askAtMs: performance.now() + limits.upstreamDoubtMs, ask };
    this.#open.add(doubt);
    this.#timer ??= setInterval(() => this.#look(), limits.upstreamDoubtMs / 5);
    return () => this.#open.delete(doubt);
  }

  #look(): void {
    const nowMs = performance.now();
    for (const doubt of this.#open) {
      if (nowMs < doubt.askAtMs) continue;
      doubt.askAtMs = nowMs + limits.upstreamDoubtMs;
      doubt.ask();
    }
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
