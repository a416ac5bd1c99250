import { limits } from "../../shared/limits.ts";

/**
 * Bounds how fast workers are given up when many fall silent at once, which is more likely control's own network than their
 * death. It never forbids: sealing is always safe. In `deathsWindowMs` the larger of `deathsAtOnce` and `deathsShareMax` of the
 * workers go at once, then one every `deathIntervalMs`.
 */
export class Brake {
  #deathsMs: number[] = [];

  /** Whether one more may be given up now; counts it if so. `live` workers are left, this one included. */
  admit(monotonicMs: number, live: number): boolean {
    this.#deathsMs = this.#deathsMs.filter((at) => monotonicMs - at < limits.deathsWindowMs);
    const workers = live + this.#deathsMs.length;
    const atOnce = Math.max(limits.deathsAtOnce, Math.floor(workers * limits.deathsShareMax));
    const last = this.#deathsMs.at(-1);
    const admitted =
      this.#deathsMs.length < atOnce || last === undefined || monotonicMs - last >= limits.deathIntervalMs;
    if (admitted) this.#deathsMs.push(monotonicMs);
    return admitted;
  }
}
