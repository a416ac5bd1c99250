/** Counts tries in windows as PocketBase does: a window lasts until nothing was allowed for its whole length. */
export class FixedWindows {
  readonly #windows = new Map<string, { left: number; lastMs: number }>();
  readonly #keysMax: number;

  constructor(keysMax: number) {
    this.#keysMax = keysMax;
  }

  /** Takes one of the `triesMax` tries of `key`; false when none is left. */
  take(key: string, triesMax: number, windowMs: number, nowMs: number): boolean {
    const known = this.#windows.get(key);
    const left = known === undefined || nowMs - known.lastMs >= windowMs ? triesMax : known.left;
    if (left <= 0) return false;
    this.#windows.delete(key);
    this.#forgetOldest();
    this.#windows.set(key, { left: left - 1, lastMs: nowMs });
    return true;
  }

  clear(): void {
    this.#windows.clear();
  }

  /** The map is in the order of last use: who has waited longest is forgotten first. */
  #forgetOldest(): void {
    if (this.#windows.size < this.#keysMax) return;
    for (const key of this.#windows.keys()) {
      this.#windows.delete(key);
      return;
    }
  }
}
