/**
 * Ends a request before its time. What an AbortSignal does for one listener, which is most of what a request needs and much cheaper; a
 * signal is made of it only for those who ask for one.
 */
export class Stop {
  #reason: Error | undefined;
  #tell: (() => void) | undefined;
  #controller: AbortController | undefined;

  /** Why it was stopped; undefined when it was not. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  stop(reason: unknown): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason instanceof Error ? reason : new Error(String(reason));
    this.#controller?.abort(this.#reason);
    this.#tell?.();
  }

  /** Who is told takes the place of who was before. */
  tell(listener: (() => void) | undefined): void {
    this.#tell = listener;
  }

  /** @throws the reason */
  throwIfStopped(): void {
    if (this.#reason !== undefined) throw this.#reason;
  }
}

/** A stop by time alone, for who uses the signal. */
export function stopAfter(ms: number): { stop: Stop; end: () => void } {
  const stop = new Stop();
  const timer = setTimeout(() => stop.stop(new Error("it took too long")), ms);
  return { stop, end: () => clearTimeout(timer) };
}
