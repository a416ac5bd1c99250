import { limits } from "../../shared/limits.ts";
import type { TextKv } from "./text-kv.ts";

/** One key's change; text null is a deletion. */
export type KeyChange = TextKv | { key: string; text: null };

export interface RevisionChanges {
  rev: number;
  changes: readonly KeyChange[];
}

const GONE: RevisionChanges = { rev: 0, changes: [] };

/**
 * The newest changes, whole revisions at a time, bounded by their number, which may grow with the state: loading all of it takes longer
 * then, and who does that goes on from the revision at which it began. Not part of the replicated state: a replica that
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

  /** `changesMax`: if it is more than what this history keeps at least. */
  append(group: RevisionChanges, changesMax = 0): void {
    this.#groups.push(group);
    this.#count += group.changes.length;
    const most = Math.max(this.#changesMax, changesMax);
    while (this.#count > most && this.#groups.length - this.#head > 1) {
      const dropped = this.#groups[this.#head]!;
      this.#groups[this.#head++] = GONE;
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
