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
  readonly #changed: () => void;

  /** @param changed - `save` would say something else now */
  constructor(keysMax: number, changed: () => void = () => {}) {
    this.#keysMax = keysMax;
    this.#changed = changed;
  }

  /** Takes one of the `triesMax` tries of `key`; false when none is left. */
  take(key: string, triesMax: number, windowMs: number, nowMs: number): boolean {
    const known = this.#windows.get(key) ?? this.#resume(key);
    const left = known === undefined || nowMs - known.lastMs >= windowMs ? triesMax : known.left;
    if (left <= 0) return false;
    this.#windows.delete(key);
    this.#forgetOldest();
    this.#windows.set(key, { left: left - 1, lastMs: nowMs, windowMs });
    this.#changed();
    return true;
  }

  clear(): void {
    if (this.#windows.size + this.#resumed.size === 0) return;
    this.#windows.clear();
    this.#resumed.clear();
    this.#changed();
  }

  /** Those that still count, the most used up first, for `resume`. Keys, which name addresses, are not readable in it. */
  save(charactersMax: number, nowMs: number): string | undefined {
    const itemsMax = Math.ceil(charactersMax / ITEM_CHARACTERS_MIN);
    let text = "";
    for (const [key, window] of this.#mostUsed(itemsMax, nowMs)) {
      const { left, lastMs, windowMs } = window;
      const name = this.#resumed.get(key) === window ? key : digest(key);
      const item = [name, left, lastMs, windowMs].join(":");
      if (text.length + item.length + 1 > charactersMax) break;
      text += text === "" ? item : `,${item}`;
    }
    return text === "" ? undefined : text;
  }

  /** Of those that still count. Of thousands few fit: not all are sorted. */
  #mostUsed(countMax: number, nowMs: number): [string, Window][] {
    const counts = new Map<number, number>();
    for (const windows of [this.#windows, this.#resumed]) {
      for (const { left, lastMs, windowMs } of windows.values()) {
        if (nowMs - lastMs < windowMs) counts.set(left, (counts.get(left) ?? 0) + 1);
      }
    }
    let fewer = 0;
    const last = [...counts.keys()]
      .toSorted((a, b) => a - b)
      .find((left) => (fewer += counts.get(left) ?? 0) >= countMax);
    const found: [string, Window][] = [];
    let atLast = 0;
    for (const windows of [this.#windows, this.#resumed]) {
      for (const [key, window] of windows) {
        const { left, lastMs, windowMs } = window;
        if (nowMs - lastMs >= windowMs || (last !== undefined && left > last)) continue;
        if (left === last && ++atLast > countMax) continue;
        found.push([key, window]);
      }
    }
    return found.toSorted(([, a], [, b]) => a.left - b.left);
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

/** A short digest, three numbers of which two are times, and what is between them. */
const ITEM_CHARACTERS_MIN = 20;

const digest = (key: string): string => Bun.hash(key).toString(36);
