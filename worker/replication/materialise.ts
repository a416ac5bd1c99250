import { SystemError } from "../../shared/errors.ts";
import type { Epoch, LogSeq, Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { BUNDLE_HEADER_BYTES, decodeBundleHeader, encodeBundle } from "../../shared/log/bundle.ts";
import type { DataEntry, DirectoryDatabase } from "../../shared/log/log.ts";
import { decodeLtx, decodeLtxHeader } from "../../shared/ltx/decode.ts";
import { encodeLtx } from "../../shared/ltx/encode.ts";
import { LTX_HEADER_BYTES, type LtxHeader, ltxPages } from "../../shared/ltx/ltx.ts";
import { mergeLtx } from "../../shared/ltx/merge.ts";
import type { ObjectBody, ObjectStore } from "../../shared/objects/contract.ts";
import { SNAPSHOT_LEVEL, bundleKey, ltxKey } from "../../shared/objects/layout.ts";
import { imagePageSize, imagePages } from "./capture.ts";
import type { Clock } from "./clock.ts";
import type { DatabaseLedger, LedgerEntry } from "./ledger.ts";
import { putDurably } from "./put-durably.ts";

/** Additions between two looks at how much memory all ledgers take: a look visits each. */
const MEMORY_LOOK_EVERY = 256;

/** A whole database at one TXID. */
export interface DatabaseImage {
  image: Uint8Array;
  txid: Txid;
  epoch: Epoch;
  timestampMs: number;
}

/** A database whose ledger is to be emptied. */
export interface MaterialiseTarget {
  readonly ledger: DatabaseLedger;
  /**
   * The database as of a cut, handed over only when that cut is durable; undefined when it cannot be had (closed meanwhile).
   */
  image(): Promise<DatabaseImage | undefined>;
  /** Something of it is under the prefix now. */
  materialised(): void;
  /** It cannot go on: an object of another writer, a defect. */
  failed(error: unknown): void;
}

export interface MaterialiserOptions {
  store: ObjectStore;
  clock: Clock;
  /** Ends everything: the incarnation is over. */
  signal: AbortSignal;
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
  readonly counters = { files: 0, snapshots: 0, bytes: 0, bundles: 0, bundleBytes: 0 };

  constructor(options: MaterialiserOptions) {
    this.#options = options;
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
    let run = ledger.nextRun();
    while (run.length > 0) {
      const min = (ledger.materialised.txid + 1) as Txid;
      const bytes = await this.#putRun(target, run, min);
      ledger.materialisedRun(run.length, bytes, min === 1, this.#options.clock.nowMs());
      target.materialised();
      run = ledger.nextRun();
    }
    if (!ledger.snapshotDue(this.#options.clock.nowMs())) return;
    const image = await target.image();
    if (image !== undefined && image.txid > 0) await this.#putSnapshot(target, image);
  }

  /** @returns bytes of the file */
  async #putRun(target: MaterialiseTarget, run: readonly LedgerEntry[], min: Txid): Promise<number> {
    const { store } = this.#options;
    const [first] = run;
    const last = run.at(-1);
    if (first === undefined || last === undefined) return 0;
    const header = {
      pageSize: last.pageSize,
      commit: last.commit,
      minTxid: min,
      maxTxid: last.position.txid,
    };
    if (first.ltx === undefined) {
      const { ref } = first;
      if (ref === undefined) throw new SystemError("internal", "Cannot materialise an entry: it has no body");
      await this.#put(target, header, ref.length, async () => {
        const found = await store.get(ref.key, { signal: this.#options.signal });
        if (found === undefined) {
          throw new SystemError("chain_gap", `Cannot materialise ${ref.key}: the object is gone`);
        }
        return { stream: found.stream, length: found.size };
      });
      return ref.length;
    }
    // Before the file: when that is there, nobody has the flushes any more.
    if (run.length > 1) await this.#putBundle(target, run, min);
    const bytes = run.length === 1 ? first.ltx : merged(run);
    await this.#put(target, header, bytes.length, () => bytes);
    return bytes.length;
  }

  /** The run's flushes one by one, for going back to any of them. One alone is its own file. */
  async #putBundle({ ledger }: MaterialiseTarget, run: readonly LedgerEntry[], min: Txid): Promise<void> {
    const { store, clock, signal } = this.#options;
    const { tenant, database } = ledger;
    const bytes = encodeBundle(run.map((entry) => bundled(ledger, entry)));
    const maxTxid = (min + run.length - 1) as Txid;
    const key = bundleKey(tenant, database, min, maxTxid);
    const outcome = await putDurably(store, key, () => bytes, { clock, signal });
    this.counters.bundles++;
    this.counters.bundleBytes += bytes.length;
    if (outcome === "created") return;
    const found = await store.range(key, { offset: 0, length: BUNDLE_HEADER_BYTES }, { signal });
    const there = found === undefined ? undefined : decodeBundleHeader(found.bytes);
    if (there?.minTxid === min && there.maxTxid === maxTxid && found?.size === bytes.length) return;
    throw foreignFile(key);
  }

  async #putSnapshot(
    target: MaterialiseTarget,
    { image, txid, epoch, timestampMs }: DatabaseImage,
  ): Promise<void> {
    const pageSize = imagePageSize(image);
    const header: LtxHeader = {
      pageSize,
      commit: image.length / pageSize,
      minTxid: 1 as Txid,
      maxTxid: txid,
      timestampMs,
      epoch,
      walOffset: 0,
      walSize: 0,
      salt1: 0,
      salt2: 0,
    };
    const bytes = encodeLtx(header, ltxPages(imagePages(image)));
    await this.#put(target, header, bytes.length, () => bytes);
    target.ledger.snapshotTaken(bytes.length, this.#options.clock.nowMs());
    this.counters.snapshots++;
  }

  /** A file from TXID 1 holds every page, so it stands among the snapshots. */
  async #put(
    { ledger }: MaterialiseTarget,
    header: Pick<LtxHeader, "pageSize" | "commit" | "minTxid" | "maxTxid">,
    length: number,
    body: () => ObjectBody | Promise<ObjectBody>,
  ): Promise<void> {
    const { store, clock, signal } = this.#options;
    const level = header.minTxid === 1 ? SNAPSHOT_LEVEL : 1;
    const key = ltxKey(ledger.tenant, ledger.database, level, header.minTxid, header.maxTxid);
    const outcome = await putDurably(store, key, body, { clock, signal });
    this.counters.files++;
    this.counters.bytes += length;
    if (outcome === "created") return;
    // An earlier try of ours, or of an owner before us: the same TXIDs hold the same content, or somebody else writes here.
    const found = await store.range(key, { offset: 0, length: LTX_HEADER_BYTES }, { signal });
    const there = found === undefined ? undefined : decodeLtxHeader(found.bytes);
    const same =
      there?.pageSize === header.pageSize &&
      there.commit === header.commit &&
      there.minTxid === header.minTxid &&
      there.maxTxid === header.maxTxid &&
      (level === SNAPSHOT_LEVEL || found?.size === length);
    if (!same) {
      throw foreignFile(key);
    }
  }
}

const foreignFile = (key: string): SystemError =>
  new SystemError("object_foreign", `Cannot materialise ${key}: another file is there`, {
    hint: "Two writers share this prefix, or the object was changed. Nothing was overwritten.",
  });

/** As it stood in the log: the same facts give the same bytes. */
function bundled(
  { tenant, database }: DatabaseLedger,
  { ltx, position: { txid, entryHash } }: LedgerEntry,
): { entry: DataEntry; timestampMs: number } {
  if (ltx === undefined) throw new SystemError("internal", "Cannot bundle an entry: it has no body");
  const { epoch, timestampMs } = decodeLtxHeader(ltx);
  return {
    entry: { kind: "data", tenant, database, epoch: epoch as Epoch, txid, entryHash, ltx },
    timestampMs,
  };
}

function merged(run: readonly LedgerEntry[]): Uint8Array {
  const file = mergeLtx(run.map((entry) => decodeLtx(entry.ltx as Uint8Array)));
  return encodeLtx(file.header, ltxPages(file.pages));
}
