import type { SystemError } from "../../shared/errors.ts";
import type { DatabaseName, Txid } from "../../shared/ids.ts";
import type { Position } from "../../shared/protocol/internal.ts";

/** Number of a commit since the database was loaded; 0 is what was loaded. Several commits share one TXID. */
export type CommitMark = number;

interface Waiter {
  mark: CommitMark;
  settle: (error: SystemError | undefined) => void;
}

/**
 * How far one database has come: committed ≥ captured ≥ durable. Commits are counted by marks, because a TXID is known only at the
 * cut; the log is written in order, so durability of one TXID is durability of all before it.
 */
export class DatabasePosition {
  readonly name: DatabaseName;
  /** Newest commit. */
  mark: CommitMark = 0;
  #capturedMark: CommitMark = 0;
  /** What the cut that is being made has taken; later commits are the next one's. */
  #cuttingMark: CommitMark | undefined;
  #durableMark: CommitMark = 0;
  #captured: Position;
  #durable: Position;
  /** Since when something is committed and not durable; for the bounds of async tenants. */
  #pendingSinceMs: number | undefined;
  /** Cuts that are not durable, oldest first. */
  readonly #cuts: { mark: CommitMark; position: Position; atMs: number; bytes: number }[] = [];
  #pendingBytes = 0;
  /** Ascending in mark, as the marks were given out. */
  #waiters: Waiter[] = [];
  #failed: SystemError | undefined;
  readonly #awaited: (() => void) | undefined;

  /** @param awaited - somebody waits for a commit that is not in any cut yet */
  constructor(name: DatabaseName, loaded: Position, awaited?: () => void) {
    this.name = name;
    this.#awaited = awaited;
    this.#captured = loaded;
    this.#durable = loaded;
  }

  get captured(): Position {
    return this.#captured;
  }

  get durable(): Position {
    return this.#durable;
  }

  /** The oldest that is not durable: reaching it is the next step of catching up. */
  get oldestPendingMark(): CommitMark {
    return this.#cuts[0]?.mark ?? this.mark;
  }

  /** Committed, and not in any cut yet. */
  get dirty(): boolean {
    return this.mark > this.#capturedMark;
  }

  get pending(): boolean {
    return this.mark > this.#durableMark;
  }

  get pendingSinceMs(): number | undefined {
    return this.#pendingSinceMs;
  }

  /** Bytes that were cut and are not durable. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** What is not durable now never will be, here. */
  get failed(): boolean {
    return this.#failed !== undefined;
  }

  get isAwaited(): boolean {
    return this.#waiters.length > 0;
  }

  isDurable(mark: CommitMark): boolean {
    return mark <= this.#durableMark;
  }

  /** The TXID that holds the newest commit; a prediction while it is not cut yet. */
  get newestTxid(): Txid {
    const { txid } = this.#captured;
    if (!this.dirty) return txid;
    return (txid + (this.mark > (this.#cuttingMark ?? Infinity) ? 2 : 1)) as Txid;
  }

  committed(atMs: number): CommitMark {
    this.#pendingSinceMs ??= atMs;
    return ++this.mark;
  }

  /** A cut takes everything up to the newest commit, and is told of by `cut` only later. */
  cutBegins(): void {
    this.#cuttingMark = this.mark;
  }

  /** A cut took everything up to the newest commit when it was begun. `position` is the same as before when the commits changed nothing. */
  cut(position: Position, bytes: number, atMs: number): void {
    const unchanged = position.txid === this.#captured.txid;
    const mark = this.#cuttingMark ?? this.mark;
    this.#cuttingMark = undefined;
    this.#capturedMark = mark;
    this.#captured = position;
    const last = this.#cuts.at(-1);
    if (!unchanged) {
      this.#cuts.push({ mark, position, atMs: this.#pendingSinceMs ?? atMs, bytes });
      this.#pendingBytes += bytes;
    } else if (last !== undefined) {
      last.mark = mark;
    } else {
      this.#reached(mark);
    }
  }

  /** Everything up to this TXID is in the log. */
  becameDurable(txid: Txid): void {
    let reached: CommitMark | undefined;
    while (this.#cuts[0] !== undefined && this.#cuts[0].position.txid <= txid) {
      const cut = this.#cuts.shift();
      if (cut === undefined) break;
      reached = cut.mark;
      this.#durable = cut.position;
      this.#pendingBytes -= cut.bytes;
    }
    if (reached !== undefined) this.#reached(reached);
  }

  /** @returns a function that gives up waiting */
  wait(mark: CommitMark, settle: (error: SystemError | undefined) => void): () => void {
    if (this.#failed !== undefined) {
      settle(this.#failed);
      return () => {};
    }
    const waiter: Waiter = { mark, settle };
    if (mark > this.#capturedMark) this.#awaited?.();
    let at = this.#waiters.length;
    while (at > 0 && (this.#waiters[at - 1] as Waiter).mark > mark) at--;
    this.#waiters.splice(at, 0, waiter);
    return () => {
      const index = this.#waiters.indexOf(waiter);
      if (index >= 0) this.#waiters.splice(index, 1);
    };
  }

  /** The database will never become durable here: everyone who waits is told. */
  fail(error: SystemError): void {
    this.#failed = error;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.settle(error);
  }

  #reached(mark: CommitMark): void {
    this.#durableMark = mark;
    if (!this.pending) this.#pendingSinceMs = undefined;
    else if (this.#cuts[0] !== undefined) this.#pendingSinceMs = this.#cuts[0].atMs;
    let count = 0;
    while (count < this.#waiters.length && (this.#waiters[count] as Waiter).mark <= mark) count++;
    for (const waiter of this.#waiters.splice(0, count)) waiter.settle(undefined);
  }
}
