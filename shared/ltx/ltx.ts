import { SystemError } from "../errors.ts";
import type { Epoch, Txid } from "../ids.ts";

/** Facts of one LTX file (Litestream 0.5's format; shared/decisions/FORMATS.md gives the bytes). */
export interface LtxHeader {
  /** Bytes; a power of two from 512 to 65536. */
  pageSize: number;
  /** Size of the database after this file, in pages. */
  commit: number;
  /** 1 means a snapshot: every page up to `commit` but the lock page is in the file. */
  minTxid: Txid;
  maxTxid: Txid;
  timestampMs: number;
  /** Stands in Litestream's node id; 0 when another program wrote the file. */
  epoch: Epoch | 0;
  /** Where in the WAL the frames came from; all four are 0 for snapshots and compactions. */
  walOffset: number;
  walSize: number;
  salt1: number;
  salt2: number;
}

export interface LtxPage {
  /** From 1. */
  pgno: number;
  data: Uint8Array;
  /** The LZ4 block of `data`, where there is one already. */
  block?: Uint8Array;
}

/** `Page` is what is known of each page, its bytes if nothing else is said. */
export interface LtxFile<Page = Uint8Array> {
  header: LtxHeader;
  /** By page number, ascending. */
  pages: Map<number, Page>;
}

/** LZ4 *blocks* (no frame). Results are only read until the next call, so an implementation may reuse its buffers for `compressBlock`. */
export interface Lz4 {
  compressBlock(source: Uint8Array): Uint8Array;
  /**
   * The result is kept by the caller: fresh memory each time, exactly `size` bytes.
   * @throws anything when the block is damaged or has another size
   */
  decompressBlock(source: Uint8Array, size: number): Uint8Array;
}

export const LTX_HEADER_BYTES = 100;
export const LTX_PAGE_HEADER_BYTES = 10;
export const LTX_TRAILER_BYTES = 16;

/** The page that holds SQLite's lock bytes, at 1 GiB: never written by SQLite, never in an LTX file. */
export function lockPage(pageSize: number): number {
  return 0x4000_0000 / pageSize + 1;
}

/** The pages in the shape that `encodeLtx` takes. */
export function* ltxPages(pages: ReadonlyMap<number, Uint8Array>): Generator<LtxPage> {
  for (const [pgno, data] of pages) yield { pgno, data };
}

/**
 * Pages 1..commit in ascending order without the lock page; what is missing becomes zeros. SQLite never writes a page that was
 * allocated and freed again within one transaction, so a first flush may lack free pages; a snapshot must have them.
 */
export function completePages(
  pages: ReadonlyMap<number, Uint8Array>,
  pageSize: number,
  commit: number,
): Map<number, Uint8Array> {
  const complete = new Map<number, Uint8Array>();
  const lock = lockPage(pageSize);
  const zeros = new Uint8Array(pageSize);
  for (let pgno = 1; pgno <= commit; pgno++) {
    if (pgno !== lock) complete.set(pgno, pages.get(pgno) ?? zeros);
  }
  return complete;
}

/** Why a header cannot be, as the state part of an error; undefined when it can. The stock reader's own rules. */
export function headerDefect(header: LtxHeader): string | undefined {
  const { pageSize, commit, minTxid, maxTxid } = header;
  if (pageSize < 512 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0)
    return `page size ${pageSize}`;
  if (!u32(commit)) return `${commit} pages`;
  if (!whole(minTxid) || !whole(maxTxid) || minTxid < 1 || minTxid > maxTxid) {
    return `TXIDs ${minTxid} to ${maxTxid}`;
  }
  if (!whole(header.timestampMs)) return `timestamp ${header.timestampMs}`;
  if (!whole(header.epoch)) return `epoch ${header.epoch}`;
  if (!whole(header.walOffset) || !whole(header.walSize)) return "WAL range out of bounds";
  if (!u32(header.salt1) || !u32(header.salt2)) return "WAL salts out of bounds";
  if (header.walOffset === 0 && (header.walSize !== 0 || header.salt1 !== 0 || header.salt2 !== 0)) {
    return "WAL size or salts without a WAL offset";
  }
  return undefined;
}

export function ltxCorrupt(state: string, cause?: unknown): SystemError {
  return new SystemError(
    "object_corrupt",
    `Cannot read LTX file: ${state}`,
    cause === undefined ? {} : { cause },
  );
}

const whole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
const u32 = (value: number): boolean => whole(value) && value <= 0xffff_ffff;
