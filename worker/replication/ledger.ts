import type { DatabaseName, Epoch, LogSeq, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { DirectoryDatabase } from "../../shared/log/log.ts";
import type { LtxHeader } from "../../shared/ltx/ltx.ts";
import type { Position } from "../../shared/protocol/internal.ts";
import type { ChainFile } from "./chain.ts";

/** A durable TXID that is not under its tenant's prefix yet. */
export interface LedgerEntry {
  position: Position;
  /** The LTX file; absent when it is an object of its own that is better streamed than kept. */
  ltx: Uint8Array | undefined;
  /** What stands in the log for it, when the tenant is encrypted. */
  stored?: Uint8Array | undefined;
  ref: { key: string; length: number } | undefined;
  pageSize: number;
  commit: number;
  /** Bytes of the LTX file. */
  bytes: number;
  /** The slot of our own log that holds it; undefined when it came from another's. */
  seq: LogSeq | undefined;
  /** Where it stands in that slot's object. */
  span?: { epoch: Epoch; offset: number; length: number };
  /** Of the entry as it stands there: in a bundle it has the same. */
  crc?: Uint8Array;
  atMs: number;
}

/** What is under a database's prefix, as far as deciding on a snapshot needs it. */
export interface ChainStats {
  /** Since the newest snapshot. */
  files: number;
  bytes: number;
  /** Of the newest snapshot; 0 when there is none. */
  snapshotBytes: number;
  /** When it was written; 0 when there is none. */
  snapshotMs: number;
  /** Of the newest file; 0 when there is none. */
  pageSize: number;
}

export const emptyChain = (): ChainStats => ({
  files: 0,
  bytes: 0,
  snapshotBytes: 0,
  snapshotMs: 0,
  pageSize: 0,
});

/** Of what a load would read. `pageSize` is known only when the files are read. */
export function chainStats(chain: readonly ChainFile[]): ChainStats {
  const [first, ...rest] = chain;
  const snapshot = first?.minTxid === 1 ? first : undefined;
  const files = snapshot === undefined ? chain : rest;
  return {
    files: files.length,
    bytes: files.reduce((sum, file) => sum + file.size, 0),
    snapshotBytes: snapshot?.size ?? 0,
    snapshotMs: snapshot?.modifiedMs ?? 0,
    pageSize: 0,
  };
}

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

  /** Of what is kept in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  get oldestSeq(): LogSeq | undefined {
    return this.entries.find((entry) => entry.seq !== undefined)?.seq;
  }

  /** What stands in our own log, for its DIRECTORY; undefined when nothing does. */
  get directory(): DirectoryDatabase | undefined {
    const own = this.entries.filter((entry) => entry.seq !== undefined && entry.span !== undefined);
    const [first] = own;
    if (first?.span === undefined) return undefined;
    const entries = own.map(({ seq, span, ref }) => ({
      seq: seq as LogSeq,
      kind: ref === undefined ? ("data" as const) : ("ref" as const),
      offset: span?.offset ?? 0,
      length: span?.length ?? 0,
    }));
    const { tenant, database } = this;
    return { tenant, epoch: first.span.epoch, database, firstTxid: first.position.txid, entries };
  }

  add(entry: LedgerEntry): void {
    this.entries.push(entry);
    this.#bytes += memoryBytes(entry);
  }

  /** Large enough, or a large object of its own, whose copy under the prefix makes it unneeded. */
  get full(): boolean {
    return (
      this.#bytes >= limits.materialiseBytes ||
      this.entries.length >= limits.materialiseEntries ||
      this.entries.some((entry) => entry.ref !== undefined)
    );
  }

  /** The oldest entries that one file can hold: one page size, of bounded bytes, and a reference alone. */
  nextRun(): readonly LedgerEntry[] {
    const [first] = this.entries;
    if (first === undefined) return [];
    if (first.ltx === undefined) return [first];
    let bytes = 0;
    const end = this.entries.findIndex((entry, i) => {
      bytes += entry.bytes;
      const fits = i === 0 || bytes <= limits.materialiseRunBytesMax;
      return entry.pageSize !== first.pageSize || entry.ltx === undefined || !fits;
    });
    return end < 0 ? [...this.entries] : this.entries.slice(0, end);
  }

  /** The first `count` entries are under the prefix now, as a file of `fileBytes`. */
  materialisedRun(count: number, fileBytes: number, snapshot: boolean, nowMs = 0): void {
    const done = this.entries.splice(0, count);
    for (const entry of done) this.#bytes -= memoryBytes(entry);
    const last = done.at(-1);
    if (last !== undefined) {
      this.materialised = last.position;
      this.#resized ||= this.chain.pageSize !== 0 && this.chain.pageSize !== last.pageSize;
      this.chain.pageSize = last.pageSize;
    }
    if (snapshot) this.snapshotTaken(fileBytes, nowMs);
    else {
      this.chain.files++;
      this.chain.bytes += fileBytes;
    }
  }

  /** @param since - what was under the prefix when it was begun, and its page size; what came meanwhile stays in the chain */
  snapshotTaken(
    bytes: number,
    nowMs: number,
    since: Pick<ChainStats, "files" | "bytes" | "pageSize"> = this.chain,
  ): void {
    if (since.pageSize === this.chain.pageSize) this.#resized = false;
    this.chain.files = Math.max(0, this.chain.files - since.files);
    this.chain.bytes = Math.max(0, this.chain.bytes - since.bytes);
    this.chain.snapshotBytes = bytes;
    this.chain.snapshotMs = nowMs;
  }

  /** What a load found under the prefix, in order. */
  loaded(headers: readonly Pick<LtxHeader, "pageSize">[]): void {
    const last = headers.at(-1);
    if (last === undefined) return;
    this.chain.pageSize = last.pageSize;
    this.#resized = headers.some(({ pageSize }) => pageSize !== last.pageSize);
  }

  /** Compaction made the chain shorter. */
  compacted(stats: ChainStats): void {
    Object.assign(this.chain, stats, { pageSize: this.chain.pageSize });
  }

  /**
   * A load would read too much (too many files, or more than half of what a snapshot would be), or cannot merge what it reads, or
   * old snapshots could not go for want of a new one, or a branch reads another tenant's for want of its own.
   */
  snapshotDue(nowMs: number): boolean {
    const { files, bytes, snapshotBytes, snapshotMs } = this.chain;
    return (
      this.#resized ||
      (snapshotBytes === 0 && this.materialised.txid > 0) ||
      (files > 0 && snapshotMs > 0 && nowMs - snapshotMs > limits.snapshotAgeMsMax) ||
      files > limits.snapshotChainFilesMax ||
      bytes > Math.max(limits.snapshotChainBytesMin, snapshotBytes * limits.snapshotChainRatio)
    );
  }
}

const memoryBytes = ({ ltx, stored }: LedgerEntry): number => (ltx?.length ?? 0) + (stored?.length ?? 0);
