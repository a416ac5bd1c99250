/** Something that can be closed while nobody uses it, and opens again by itself. */
export interface Closable {
  /** @returns false when it is in use now */
  closeIdle(): boolean;
}

/** Bounds how many are open: the one that was not used for longest is closed first. */
export class IdleLru {
  readonly #max: number;
  readonly #open = new Set<Closable>();
  #newest: Closable | undefined;
  readonly counters = { closed: 0 };

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#open.size;
  }

  /** It is open, and was used just now. */
  used(one: Closable): void {
    if (one === this.#newest) return;
    this.#open.delete(one);
    this.#open.add(one);
    this.#newest = one;
    this.trim();
  }

  /** Those that were in use when there were too many may be idle by now. */
  trim(): void {
    if (this.#open.size > this.#max) this.#closeOldest();
  }

  /** It was closed for another reason. */
  forget(one: Closable): void {
    this.#open.delete(one);
    if (this.#newest === one) this.#newest = undefined;
  }

  /** Those in use are passed over; then more are open for a while. */
  #closeOldest(): void {
    for (const one of this.#open) {
      if (one === this.#newest) return;
      if (!one.closeIdle()) continue;
      this.#open.delete(one);
      this.counters.closed++;
      if (this.#open.size <= this.#max) return;
    }
  }
}
