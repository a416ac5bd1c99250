interface Window {
  left: number;
  lastMs: number;
  windowMs: number;
}

/** Counts tries in windows as PocketBase does: a window lasts until nothing was allowed for its whole length. */
export class FixedWindows {
  readonly #windows = new Map<string, Window>();
  /** Of an owner before, by digest of their key; each moves over when it is asked for. */
  readonly #resumed = new Map<string, Window>();
  readonly #keysMax: number;

  constructor(keysMax: number) {
    this.#keysMax = keysMax;
  }

  /** Takes one of the `triesMax` tries of `key`; false when none is left. */
  take(key: string, triesMax: number, windowMs: number, nowMs: number): boolean {
    const known = this.#windows.get(key) ?? this.#resume(key);
    const left = known === undefined || nowMs - known.lastMs >= windowMs ? triesMax : known.left;
    if (left <= 0) return false;
    this.#windows.delete(key);
    this.#forgetOldest();
    this.#windows.set(key, { left: left - 1, lastMs: nowMs, windowMs });
    return true;
  }

  clear(): void {
    this.#windows.clear();
    this.#resumed.clear();
  }

  /** Those that still count, the most used up first, for `resume`. Keys, which name addresses, are not readable in it. */
  save(charactersMax: number, nowMs: number): string | undefined {
    const open = [
      ...[...this.#windows].map(([key, window]) => [digest(key), window] as const),
      ...this.#resumed,
    ].filter(([, { lastMs, windowMs }]) => nowMs - lastMs < windowMs);
    let text = "";
    for (const [key, { left, lastMs, windowMs }] of open.toSorted(([, a], [, b]) => a.left - b.left)) {
      const item = [key, left, lastMs, windowMs].join(":");
      if (text.length + item.length + 1 > charactersMax) break;
      text += text === "" ? item : `,${item}`;
    }
    return text === "" ? undefined : text;
  }

  /** What cannot be read counts as nothing. */
  resume(saved: string): void {
    for (const item of saved.split(",")) {
      const [key = "", ...numbers] = item.split(":");
      const [left = NaN, lastMs = NaN, windowMs = NaN] = numbers.map(Number);
      if (Number.isFinite(left + lastMs + windowMs)) this.#resumed.set(key, { left, lastMs, windowMs });
    }
  }

  #resume(key: string): Window | undefined {
    if (this.#resumed.size === 0) return undefined;
    const name = digest(key);
    const window = this.#resumed.get(name);
    if (window !== undefined) {
      this.#resumed.delete(name);
      this.#windows.set(key, window);
    }
    return window;
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

const digest = (key: string): string => Bun.hash(key).toString(36);
