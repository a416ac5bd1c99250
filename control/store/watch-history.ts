import { limits } from "../../shared/limits.ts";
import type { TextKv } from "./text-kv.ts";

/** One key's change; text null is a deletion. */
export type KeyChange = TextKv | { key: string; text: null };

export interface RevisionChanges {
  rev: number;
  changes: readonly KeyChange[];
}

/**
 * The newest changes, whole revisions at a time, bounded by their number. Not part of the replicated state: a replica that
 * started from a snapshot has history only from there, and says so.
 */
export class WatchHistory {
  /** Changes after this revision are all here. */
  #after: number;
  #groups: RevisionChanges[] = [];
  #head = 0;
  #count = 0;
  readonly #changesMax: number;

  constructor(after: number, changesMax: number = limits.watchHistoryMax) {
    this.#after = after;
    this.#changesMax = changesMax;
  }

  get after(): number {
    return this.#after;
  }

  append(group: RevisionChanges): void {
    this.#groups.push(group);
    this.#count += group.changes.length;
    while (this.#count > this.#changesMax && this.#groups.length - this.#head > 1) {
      const dropped = this.#groups[this.#head++]!;
      this.#count -= dropped.changes.length;
      this.#after = dropped.rev;
    }
    // Slots before the head are given back in bulk: amortised constant time.
    if (this.#head > 1_024 && this.#head * 2 > this.#groups.length) {
      this.#groups.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** Up to `groupsMax` revisions after `rev`, oldest first; undefined when some of them are gone. */
  since(rev: number, groupsMax: number): readonly RevisionChanges[] | undefined {
    if (rev < this.#after) return undefined;
    let low = this.#head;
    let high = this.#groups.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#groups[middle]!.rev <= rev) low = middle + 1;
      else high = middle;
    }
    return this.#groups.slice(low, low + groupsMax);
  }
}
