import { limits } from "../../shared/limits.ts";

/** A row as stored: JSON text and the revision of its last change. */
export interface Row {
  key: string;
  text: string;
  modRev: number;
}

export type StoredResult = { ok: true; rev: number } | { ok: false; rev: number; seen: Row[] };

/**
 * The first result of each of the newest txns, by id: a retry gets it again instead of a second application. Part of the
 * replicated state, so its bounds (number and bytes, oldest out first) must come out the same on every replica.
 */
export class RememberedResults {
  readonly #results = new Map<string, StoredResult>();
  #bytes = 0;

  get(id: string): StoredResult | undefined {
    return this.#results.get(id);
  }

  add(id: string, result: StoredResult): void {
    this.#results.set(id, result);
    this.#bytes += cost(id, result);
    for (const [oldest, dropped] of this.#results) {
      if (this.#results.size <= limits.txnRememberedMax && this.#bytes <= limits.txnRememberedCharactersMax)
        break;
      this.#results.delete(oldest);
      this.#bytes -= cost(oldest, dropped);
    }
  }

  /** Oldest first: adding them again in this order gives an equal set. */
  entries(): [id: string, result: StoredResult][] {
    return [...this.#results];
  }
}

function cost(id: string, result: StoredResult): number {
  return result.ok
    ? id.length
    : result.seen.reduce((sum, row) => sum + row.key.length + row.text.length, id.length);
}
