/** Wakes everyone who waits, once. */
export class Wake {
  readonly #waiting = new Set<() => void>();

  /** Calls `call` at the next wake; the returned function cancels. */
  next(call: () => void): () => void {
    this.#waiting.add(call);
    return () => this.#waiting.delete(call);
  }

  wake(): void {
    const calls = [...this.#waiting];
    this.#waiting.clear();
    for (const call of calls) call();
  }
}
