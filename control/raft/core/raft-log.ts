import type { Entry, InitialState, Membership, Snapshot } from "./types.ts";

/**
 * The log in memory: `entries[i]` has index `base.index + 1 + i`.
 * base.index <= snapshot.index <= applied <= min(committed, stable), committed <= lastIndex (while no snapshot is being installed).
 */
export class RaftLog {
  /** The position before the first entry kept. */
  base: { index: number; term: number };
  /** Newest snapshot, own or installed: what a node that lacks compacted entries is sent. */
  snapshot: Snapshot;
  /** A snapshot from the leader that is not durable yet. */
  installing: Snapshot | null = null;
  committed: number;
  /** Given out as committed. */
  applied: number;
  /** Durable here, as told by `advance`. */
  stable: number;
  #entries: Entry[];
  /** Ascending; the last one is in force, from its append on. The first stands at or before base.index. */
  #memberships: { index: number; membership: Membership }[];

  constructor({ hardState, snapshot, entries }: InitialState) {
    this.snapshot = snapshot;
    this.#memberships = [{ index: snapshot.index, membership: snapshot.membership }];
    const kept = entries.filter((entry) => entry.index > snapshot.index);
    if ((kept[0]?.index ?? snapshot.index + 1) !== snapshot.index + 1) {
      throw new RangeError("Cannot start: entries after the snapshot are missing");
    }
    this.base = { index: snapshot.index, term: snapshot.term };
    this.#entries = kept;
    for (const entry of kept) this.#noteMembership(entry);
    this.applied = snapshot.index;
    this.committed = Math.min(Math.max(hardState.commit, snapshot.index), this.lastIndex);
    this.stable = this.lastIndex;
  }

  get lastIndex(): number {
    return this.base.index + this.#entries.length;
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.base.term;
  }

  get membership(): Membership {
    return this.#memberships.at(-1)!.membership;
  }

  /** Index of the entry that set the membership in force. */
  get membershipIndex(): number {
    return this.#memberships.at(-1)!.index;
  }

  membershipAt(index: number): Membership {
    return this.#memberships.findLast((set) => set.index <= index)?.membership ?? this.snapshot.membership;
  }

  /** undefined when compacted or not there. */
  term(index: number): number | undefined {
    return index === this.base.index ? this.base.term : this.#entries[index - this.base.index - 1]?.term;
  }

  matches(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Whether a log that ends there is at least as new as this one. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Entries from..to, cut at `bytesMax` but never before the first. */
  slice(from: number, to: number, bytesMax: number): Entry[] {
    const start = from - this.base.index - 1;
    const end = to - this.base.index;
    if (start < 0) throw new RangeError(`Cannot read entry ${from}: it is compacted`);
    const found: Entry[] = [];
    let bytes = 0;
    for (let i = start; i < end; i++) {
      const entry = this.#entries[i]!;
      bytes += entryBytes(entry);
      if (found.length > 0 && bytes > bytesMax) break;
      found.push(entry);
    }
    return found;
  }

  /** At the end, by a leader. */
  append(entry: Entry): void {
    this.#entries.push(entry);
    this.#noteMembership(entry);
  }

  /**
   * From the leader, after an entry that matches: skips what is here already, replaces from the first conflict on. Returns the
   * last index known to match the leader.
   */
  merge(previousIndex: number, entries: readonly Entry[]): number {
    const conflict = entries.findIndex((entry) => !this.matches(entry.index, entry.term));
    if (conflict !== -1) {
      const first = entries[conflict]!.index;
      if (first <= this.committed)
        throw new Error(`Raft is broken: committed entry ${first} would be replaced`);
      this.#truncate(first);
      for (const entry of entries.slice(conflict)) this.append(entry);
    }
    return previousIndex + entries.length;
  }

  /** The largest index at or below `index` whose term is at most `term`: nothing in between can match. */
  conflictByTerm(index: number, term: number): { index: number; term: number } {
    let at = Math.min(index, this.lastIndex);
    for (; at > this.base.index; at--) {
      const here = this.term(at)!;
      if (here <= term) return { index: at, term: here };
    }
    return { index: at, term: this.term(at) ?? 0 };
  }

  commitTo(index: number): void {
    if (index > this.committed) this.committed = Math.min(index, this.lastIndex);
  }

  /** Everything before is gone; the snapshot stands in for it. */
  install(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    this.installing = snapshot;
    this.base = { index: snapshot.index, term: snapshot.term };
    this.#entries = [];
    this.#memberships = [{ index: snapshot.index, membership: snapshot.membership }];
    this.committed = snapshot.index;
    this.applied = snapshot.index;
    this.stable = snapshot.index;
  }

  /** The position after which the newest entries up to `index` are no more and no larger than that. */
  floor(index: number, entriesMax: number, bytesMax: number): number {
    let at = index;
    for (let bytes = 0; at > this.base.index && index - at < entriesMax; at--) {
      bytes += entryBytes(this.#entries[at - this.base.index - 1]!);
      if (bytes > bytesMax) break;
    }
    return at;
  }

  /** Drops entries up to `upTo`, at most to the snapshot, which is durable. */
  compact(snapshot: Snapshot, upTo: number): void {
    this.snapshot = snapshot;
    const index = Math.min(upTo, snapshot.index);
    if (index <= this.base.index) return;
    const term = this.term(index)!;
    const membership = this.membershipAt(index);
    this.#entries.splice(0, index - this.base.index);
    this.base = { index, term };
    const later = this.#memberships.filter((set) => set.index > index);
    const inForce = this.#memberships.findLast((set) => set.index <= index);
    this.#memberships = [{ index: inForce?.index ?? index, membership }, ...later];
  }

  #truncate(from: number): void {
    this.#entries.length = from - this.base.index - 1;
    this.stable = Math.min(this.stable, from - 1);
    while (this.#memberships.length > 1 && this.#memberships.at(-1)!.index >= from) this.#memberships.pop();
  }

  #noteMembership(entry: Entry): void {
    if (entry.kind === "membership") {
      this.#memberships.push({ index: entry.index, membership: entry.membership });
    }
  }
}

export function entryBytes(entry: Entry): number {
  if (entry.kind === "data") return entry.data.length;
  return entry.kind === "membership" ? 64 + (entry.data?.length ?? 0) : 64;
}
