import type { DatabaseName, LogSeq, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Position } from "../../shared/protocol/internal.ts";

/** A durable TXID that is not under its tenant's prefix yet. */
export interface LedgerEntry {
  position: Position;
  /** The LTX file; absent when it is an object of its own that is better streamed than kept. */
  ltx: Uint8Array | undefined;
  ref: { key: string; length: number } | undefined;
  pageSize: number;
  commit: number;
  /** Bytes of the LTX file. */
  bytes: number;
  /** The slot of our own log that holds it; undefined when it came from another's. */
  seq: LogSeq | undefined;
  atMs: number;
}

/** What is under a database's prefix, as far as deciding on a snapshot needs it. */
export interface ChainStats {
  /** Since the newest snapshot. */
  files: number;
  bytes: number;
  /** Of the newest snapshot; 0 when there is none. */
  snapshotBytes: number;
  /** Of the newest file; 0 when there is none. */
  pageSize: number;
}

export const emptyChain = (): ChainStats => ({ files: 0, bytes: 0, snapshotBytes: 0, pageSize: 0 });

/**
 * The durable entries of one database that are still only in logs. Entries are added when they became durable, so nothing here
 * can put a TXID under the prefix that its owner's log does not hold.
 */
export class DatabaseLedger {
  readonly tenant: TenantId;
  readonly database: DatabaseName;
  /** Everything up to here is under the prefix. */
  materialised: Position;
  readonly chain: ChainStats;
  /** TXIDs are consecutive, from `materialised.txid + 1`. */
  readonly entries: LedgerEntry[] = [];
  #bytes = 0;
  /** An import changed the page size: files on both sides of it cannot be merged, by stock tools neither. */
  #resized = false;

  constructor(tenant: TenantId, database: DatabaseName, materialised: Position, chain: ChainStats) {
    this.tenant = tenant;
    this.database = database;
    this.materialised = materialised;
    this.chain = chain;
  }

  /** Of LTX files that are kept in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  get oldestSeq(): LogSeq | undefined {
    return this.entries.find((entry) => entry.seq !== undefined)?.seq;
  }

  add(entry: LedgerEntry): void {
    this.entries.push(entry);
    this.#bytes += entry.ltx?.length ?? 0;
  }

  /** Large enough, or a large object of its own, whose copy under the prefix makes it unneeded. */
  get full(): boolean {
    return (
      this.#bytes >= limits.materialiseBytes ||
      this.entries.length >= limits.materialiseEntries ||
      this.entries.some((entry) => entry.ref !== undefined)
    );
  }

  /** The oldest entries that one file can hold: one page size, and a reference alone. */
  nextRun(): readonly LedgerEntry[] {
    const [first] = this.entries;
    if (first === undefined) return [];
    if (first.ltx === undefined) return [first];
    const end = this.entries.findIndex(
      (entry) => entry.pageSize !== first.pageSize || entry.ltx === undefined,
    );
    return end < 0 ? [...this.entries] : this.entries.slice(0, end);
  }

  /** The first `count` entries are under the prefix now, as a file of `fileBytes`. */
  materialisedRun(count: number, fileBytes: number, snapshot: boolean): void {
    const done = this.entries.splice(0, count);
    for (const entry of done) this.#bytes -= entry.ltx?.length ?? 0;
    const last = done.at(-1);
    if (last !== undefined) {
      this.materialised = last.position;
      this.#resized ||= this.chain.pageSize !== 0 && this.chain.pageSize !== last.pageSize;
      this.chain.pageSize = last.pageSize;
    }
    if (snapshot) this.snapshotTaken(fileBytes);
    else {
      this.chain.files++;
      this.chain.bytes += fileBytes;
    }
  }

  snapshotTaken(bytes: number): void {
    this.#resized = false;
    this.chain.files = 0;
    this.chain.bytes = 0;
    this.chain.snapshotBytes = bytes;
  }

  /** A load would read too much (too many files, or more than half of what a snapshot would be), or cannot merge what it reads. */
  get snapshotDue(): boolean {
    const { files, bytes, snapshotBytes } = this.chain;
    return (
      this.#resized ||
      files > limits.snapshotChainFilesMax ||
      bytes > Math.max(limits.snapshotChainBytesMin, snapshotBytes * limits.snapshotChainRatio)
    );
  }
}
