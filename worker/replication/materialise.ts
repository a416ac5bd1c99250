import type { LogSeq, Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { DirectoryDatabase } from "../../shared/log/log.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Bulk } from "./bulk/work.ts";
import type { Clock } from "./clock.ts";
import type { DatabaseLedger } from "./ledger.ts";
import { mergeSnapshot } from "./merge-snapshot.ts";
import { type DatabaseImage, PrefixWriter } from "./prefix-writer.ts";

/** Additions between two looks at how much memory all ledgers take: a look visits each. */
const MEMORY_LOOK_EVERY = 256;

/** A database whose ledger is to be emptied. */
export interface MaterialiseTarget {
  readonly ledger: DatabaseLedger;
  /**
   * The database as of a cut, handed over only when that cut is durable; undefined when it cannot be had (closed meanwhile).
   */
  image(): Promise<DatabaseImage | undefined>;
  /** How large a snapshot is that one may be taken of; undefined when this is no time for one. */
  snapshotBytes(): number | undefined;
  /** Aborted when the tenant leaves. */
  readonly gone: AbortSignal;
  /** Something of it is under the prefix now. */
  materialised(): void;
  /** It cannot go on: an object of another writer, a defect. */
  failed(error: unknown): void;
  /** It goes on, but somebody should know. */
  warned(error: unknown): void;
}

export interface MaterialiserOptions {
  store: ObjectStore;
  clock: Clock;
  /** Ends everything: the incarnation is over. */
  signal: AbortSignal;
  bulk: Bulk;
}

/**
 * Moves durable entries from memory to their tenants' prefixes, in the background, by one worklist for all: when a database has
 * enough of them, when the oldest gets old, when memory gets short, or when someone waits for it.
 */
export class Materialiser {
  readonly #options: MaterialiserOptions;
  /** Targets with entries, oldest first. */
  readonly #pending = new Map<MaterialiseTarget, { sinceMs: number }>();
  readonly #working = new Map<MaterialiseTarget, Promise<void>>();
  readonly #queue = new Map<MaterialiseTarget, () => void>();
  #active = 0;
  #additions = 0;
  #cancelTimer: (() => void) | undefined;
  #oldest: { seq: LogSeq | undefined; atMs: number } | undefined;
  /** Of large databases. */
  readonly #snapshots = new Map<MaterialiseTarget, Promise<void>>();
  readonly #files: PrefixWriter;
  readonly counters = { files: 0, snapshots: 0, bytes: 0, bundles: 0, bundleBytes: 0 };

  constructor(options: MaterialiserOptions) {
    this.#options = options;
    this.#files = new PrefixWriter(options, this.counters);
  }

  /** The target's ledger has grown. */
  added(target: MaterialiseTarget): void {
    if (!this.#pending.has(target)) {
      this.#pending.set(target, { sinceMs: this.#options.clock.monotonicMs() });
      this.#arm();
    }
    if (target.ledger.full) void this.#start(target);
    else if (
      ++this.#additions % MEMORY_LOOK_EVERY === 0 &&
      this.pendingBytes > limits.materialisePendingBytesMax
    )
      this.#startOldest();
  }

  /** Empties the target's ledger now. Resolves when all that it holds at this moment is under the prefix. */
  async flush(target: MaterialiseTarget): Promise<void> {
    while (target.ledger.entries.length > 0) {
      this.#options.signal.throwIfAborted();
      await this.#start(target);
    }
    await this.#working.get(target);
  }

  /** As `flush`, and the snapshot that is due then. */
  async settle(target: MaterialiseTarget): Promise<void> {
    await this.flush(target);
    if (target.ledger.snapshotDue(this.#options.clock.nowMs())) await this.#start(target);
    await this.#snapshots.get(target);
  }

  get pendingBytes(): number {
    let bytes = 0;
    for (const { ledger } of this.#pending.keys()) bytes += ledger.bytes;
    return bytes;
  }

  /** All entries of our own log that are not under their prefix yet. */
  pendingEntries(): DirectoryDatabase[] {
    const found: DirectoryDatabase[] = [];
    for (const { ledger } of this.#pending.keys()) {
      const { directory } = ledger;
      if (directory !== undefined) found.push(directory);
    }
    return found;
  }

  /** The oldest slot of our own log that a load would need; may lag behind by a second, which is safe. */
  oldestNeeded(): LogSeq | undefined {
    const now = this.#options.clock.monotonicMs();
    if (this.#oldest === undefined || now - this.#oldest.atMs > 1_000) {
      let seq: LogSeq | undefined;
      for (const { ledger } of this.#pending.keys()) {
        const own = ledger.oldestSeq;
        if (own !== undefined && (seq === undefined || own < seq)) seq = own;
      }
      // Nothing pending now may be pending at the next look: keep no answer that could grow stale upwards.
      if (seq === undefined) return undefined;
      this.#oldest = { seq, atMs: now };
    }
    return this.#oldest.seq;
  }

  close(): void {
    this.#disarm();
    this.#pending.clear();
    // Who waits for a turn gets it, finds that all has ended, and tells whoever waits for that.
    const turns = [...this.#queue.values()];
    this.#queue.clear();
    for (const turn of turns) turn();
  }

  #start(target: MaterialiseTarget): Promise<void> {
    const running = this.#working.get(target);
    if (running !== undefined) return running;
    const work = this.#turn(target)
      .then(() => {
        this.#options.signal.throwIfAborted();
        return this.#work(target);
      })
      .catch((error: unknown) => {
        if (!this.#options.signal.aborted) target.failed(error);
        throw error;
      })
      .finally(() => this.#ended(target));
    // Whoever flushes sees the error; a background run has told the target.
    work.catch(() => {});
    this.#working.set(target, work);
    return work;
  }

  #turn(target: MaterialiseTarget): Promise<void> {
    if (this.#active < limits.materialiseParallel) {
      this.#active++;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#queue.set(target, resolve));
  }

  #ended(target: MaterialiseTarget): void {
    this.#working.delete(target);
    this.#pending.delete(target);
    const { entries } = target.ledger;
    if (entries.length > 0 && !this.#options.signal.aborted) {
      this.#pending.set(target, { sinceMs: entries[0]?.atMs ?? this.#options.clock.monotonicMs() });
    }
    const [next] = this.#queue;
    if (next === undefined) {
      this.#active--;
    } else {
      this.#queue.delete(next[0]);
      next[1]();
    }
    if (this.#pending.size === 0) this.#disarm();
    this.#arm();
  }

  #startOldest(): void {
    for (const target of this.#pending.keys()) {
      if (this.#working.has(target)) continue;
      void this.#start(target);
      return;
    }
  }

  #disarm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #arm(): void {
    if (this.#cancelTimer !== undefined) return;
    const { clock, signal } = this.#options;
    if (signal.aborted) return;
    let first: number | undefined;
    for (const [target, { sinceMs }] of this.#pending) {
      // What is under way arms again when it ends.
      if (this.#working.has(target)) continue;
      first = sinceMs;
      break;
    }
    if (first === undefined) return;
    const dueMs = first + limits.materialiseAfterMs - clock.monotonicMs();
    this.#cancelTimer = clock.after(Math.max(1_000, dueMs), () => {
      this.#cancelTimer = undefined;
      const now = clock.monotonicMs();
      for (const [target, { sinceMs }] of this.#pending) {
        if (now - sinceMs < limits.materialiseAfterMs) break;
        void this.#start(target);
      }
      this.#arm();
    });
  }

  async #work(target: MaterialiseTarget): Promise<void> {
    const { ledger } = target;
    const upTo = ledger.entries.at(-1)?.position.txid ?? 0;
    // What comes in meanwhile waits for company: a busy database would else get a file for every other flush.
    while (ledger.materialised.txid < upTo || ledger.full) {
      const run = ledger.nextRun();
      if (run.length === 0) break;
      const min = (ledger.materialised.txid + 1) as Txid;
      const bytes = await this.#files.putRun(ledger, run, min);
      ledger.materialisedRun(run.length, bytes, min === 1, this.#options.clock.nowMs());
      target.materialised();
    }
    if (!ledger.snapshotDue(this.#options.clock.nowMs())) return;
    const bytes = target.snapshotBytes();
    if (bytes === undefined) return;
    if (bytes > limits.snapshotImageBytesMax) await this.#snapshotLater(target, bytes);
    else await this.#snapshotImage(target);
  }

  async #snapshotImage(target: MaterialiseTarget): Promise<void> {
    const image = await target.image();
    if (image !== undefined && image.txid > 0) await this.#files.putSnapshot(target.ledger, image);
  }

  /** Beside everything else, and given up when the tenant leaves: it may take minutes. @returns at once, unless the chain is useless */
  async #snapshotLater(target: MaterialiseTarget, bytes: number): Promise<void> {
    if (this.#snapshots.has(target)) return;
    const signal = AbortSignal.any([this.#options.signal, target.gone]);
    const work = mergeSnapshot({ ...this.#options, signal }, target.ledger)
      .then((outcome) => {
        if (outcome === "merged") {
          this.counters.snapshots++;
          return undefined;
        }
        if (outcome !== "no chain") target.warned(outcome);
        // A branch without a snapshot of its own, or objects that are damaged: the database itself is whole.
        return bytes <= limits.snapshotRescueBytesMax ? this.#snapshotImage(target) : undefined;
      })
      .catch((error: unknown) => {
        if (!signal.aborted) target.warned(error);
      })
      .finally(() => this.#snapshots.delete(target));
    this.#snapshots.set(target, work);
  }
}
