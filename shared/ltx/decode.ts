import { SystemError } from "../errors.ts";
import type { Epoch, Txid } from "../ids.ts";
import { Crc64 } from "./crc64.ts";
import {
  LTX_HEADER_BYTES,
  LTX_PAGE_HEADER_BYTES,
  LTX_TRAILER_BYTES,
  type LtxFile,
  type LtxHeader,
  type Lz4,
  headerDefect,
  lockPage,
  ltxCorrupt,
} from "./ltx.ts";
import { lz4Block } from "./lz4-block.ts";
import { readU32, readU64, readUvarint } from "./read.ts";

const NO_CHECKSUM = 2;
const SIZE_FOLLOWS = 1;
const LTX1 = 0x4c54_5831;

/**
 * The facts in the first 100 bytes. The header has no checksum of its own: only `decodeLtx` proves them.
 *
 * @throws SystemError `object_corrupt`, or `object_version` for files with database checksums, which stock 0.5 readers refuse too
 */
export function decodeLtxHeader(bytes: Uint8Array): LtxHeader {
  if (bytes.length < LTX_HEADER_BYTES) throw ltxCorrupt(`${bytes.length} bytes are less than a header`);
  const magic = readU32(bytes, 0);
  if (magic !== LTX1) {
    // LTX and another digit: what comes after 1.
    if (magic >>> 8 === LTX1 >>> 8 && magic > LTX1 && (magic & 255) <= 0x39) {
      throw new SystemError("object_version", `Cannot read LTX file: it is of format ${magic & 15}`, {
        hint: "Use the version of this program that wrote it, or a newer one.",
      });
    }
    throw ltxCorrupt("it does not begin with LTX1");
  }
  const flags = readU32(bytes, 4);
  if (flags !== NO_CHECKSUM) {
    throw new SystemError("object_version", `Cannot read LTX file: its flags are ${flags}`, {
      hint: "Only files of Litestream 0.5 without database checksums (flags 2) are read.",
    });
  }
  const header: LtxHeader = {
    pageSize: readU32(bytes, 8),
    commit: readU32(bytes, 12),
    minTxid: readU64(bytes, 16) as Txid,
    maxTxid: readU64(bytes, 24) as Txid,
    timestampMs: readU64(bytes, 32),
    epoch: readU64(bytes, 72) as Epoch | 0,
    walOffset: readU64(bytes, 48),
    walSize: readU64(bytes, 56),
    salt1: readU32(bytes, 64),
    salt2: readU32(bytes, 68),
  };
  const defect = headerDefect(header);
  if (defect !== undefined) throw ltxCorrupt(defect);
  if (readU64(bytes, 40) !== 0) throw ltxCorrupt("a pre-apply checksum in a file without checksums");
  for (let i = 80; i < LTX_HEADER_BYTES; i++) {
    if (bytes[i] !== 0) throw ltxCorrupt("the end of its header is not zero");
  }
  return header;
}

/**
 * The whole file, everything proven: order and completeness of pages, every size, the index, the checksum, no byte too many.
 *
 * @throws SystemError `object_corrupt` or `object_version`
 */
export function decodeLtx(bytes: Uint8Array, options: { lz4?: Lz4 } = {}): LtxFile {
  const header = decodeLtxHeader(bytes);
  const lz4 = options.lz4 ?? lz4Block;
  const { pageSize, commit } = header;
  const lock = lockPage(pageSize);
  const snapshot = header.minTxid === 1;
  const crc = new Crc64().update(bytes, 0, LTX_HEADER_BYTES);
  const pages = new Map<number, Uint8Array>();
  const index: number[] = [];
  let at = LTX_HEADER_BYTES;
  let previous = 0;
  for (;;) {
    if (bytes.length - at < 6) throw ltxCorrupt("it ends among the pages");
    const pgno = readU32(bytes, at);
    const flags = ((bytes[at + 4] as number) << 8) | (bytes[at + 5] as number);
    if (pgno === 0 && flags === 0) break;
    if (flags !== SIZE_FOLLOWS) {
      throw new SystemError("object_version", `Cannot read LTX file: page ${pgno} has flags ${flags}`);
    }
    const expected = previous + 1 === lock ? previous + 2 : previous + 1;
    if (pgno < expected || pgno > commit || pgno === lock || (snapshot && pgno !== expected)) {
      throw ltxCorrupt(`page ${pgno} of ${commit} after page ${previous}`);
    }
    if (bytes.length - at < LTX_PAGE_HEADER_BYTES) throw ltxCorrupt(`page ${pgno} is cut off`);
    const length = readU32(bytes, at + 6);
    const body = at + LTX_PAGE_HEADER_BYTES;
    if (length > bytes.length - body) throw ltxCorrupt(`page ${pgno} is cut off`);
    const data = decompress(lz4, bytes.subarray(body, body + length), pageSize, pgno);
    crc.update(bytes, at, body).update(data);
    pages.set(pgno, data);
    index.push(pgno, at, LTX_PAGE_HEADER_BYTES + length);
    at = body + length;
    previous = pgno;
  }
  const next = previous + 1 === lock ? previous + 2 : previous + 1;
  if (snapshot && next <= commit)
    throw ltxCorrupt(`a snapshot of ${commit} pages ends after page ${previous}`);
  checkEnd(bytes, at, index, crc);
  return { header, pages };
}

/** End marker, index, its length, trailer: nothing else may follow, and the index must say what the pages said. */
function checkEnd(bytes: Uint8Array, start: number, index: readonly number[], crc: Crc64): void {
  const indexStart = start + 6;
  const cursor = { at: indexStart };
  for (const value of index) {
    if (readUvarint(bytes, cursor) !== value) throw ltxCorrupt("its index differs from its pages");
  }
  if (readUvarint(bytes, cursor) !== 0) throw ltxCorrupt("its index has too many pages");
  if (bytes.length - cursor.at !== 8 + LTX_TRAILER_BYTES) {
    throw ltxCorrupt(`${bytes.length - cursor.at} bytes follow the index`);
  }
  if (readU64(bytes, cursor.at) !== cursor.at - indexStart)
    throw ltxCorrupt("the length of its index is wrong");
  const trailer = cursor.at + 8;
  if (readU64(bytes, trailer) !== 0) throw ltxCorrupt("a post-apply checksum in a file without checksums");
  crc.update(bytes, start, trailer + 8);
  if (
    readU32(bytes, trailer + 8) !== (crc.high | 0x8000_0000) >>> 0 ||
    readU32(bytes, trailer + 12) !== crc.low
  ) {
    throw ltxCorrupt("its checksum does not match");
  }
}

/** Where one page stands in its file: page header and block. */
export interface LtxPageSpan {
  offset: number;
  size: number;
}

/**
 * The page index from the end of a file, for ranged reads. `{more}` says how many bytes of the end are needed when `tail` has
 * too few. Proves that spans ascend and stay inside the file, not the file's checksum.
 *
 * @param tail - the file's last bytes, at least 24
 * @param fileSize - bytes of the whole file
 * @throws SystemError `object_corrupt`
 */
export function decodeLtxPageIndex(
  tail: Uint8Array,
  fileSize: number,
): { pages: Map<number, LtxPageSpan> } | { more: number } {
  const fixed = 8 + LTX_TRAILER_BYTES;
  if (tail.length > fileSize || fileSize < LTX_HEADER_BYTES + 6 + 1 + fixed) {
    throw ltxCorrupt(`a file of ${fileSize} bytes has no index`);
  }
  if (tail.length < fixed) return { more: fixed };
  const lengthAt = tail.length - fixed;
  const length = readU64(tail, lengthAt);
  const pagesEnd = fileSize - fixed - length - 6;
  if (length < 1 || pagesEnd < LTX_HEADER_BYTES) throw ltxCorrupt("the length of its index is wrong");
  if (length > lengthAt) return { more: length + fixed };
  const indexBytes = tail.subarray(lengthAt - length, lengthAt);
  const cursor = { at: 0 };
  const pages = new Map<number, LtxPageSpan>();
  let previous = 0;
  let expected = LTX_HEADER_BYTES;
  for (;;) {
    const pgno = readUvarint(indexBytes, cursor);
    if (pgno === 0) break;
    const offset = readUvarint(indexBytes, cursor);
    const size = readUvarint(indexBytes, cursor);
    if (pgno <= previous || pgno > 0xffff_ffff || offset !== expected || size <= LTX_PAGE_HEADER_BYTES) {
      throw ltxCorrupt(`its index has page ${pgno} at ${offset}`);
    }
    previous = pgno;
    expected = offset + size;
    pages.set(pgno, { offset, size });
  }
  if (cursor.at !== length || expected !== pagesEnd) throw ltxCorrupt("its index does not cover its pages");
  return { pages };
}

/**
 * One page from the bytes of its span.
 *
 * @throws SystemError `object_corrupt`
 */
export function decodeLtxPage(
  span: Uint8Array,
  pageSize: number,
  options: { lz4?: Lz4 } = {},
): { pgno: number; data: Uint8Array } {
  if (span.length <= LTX_PAGE_HEADER_BYTES) throw ltxCorrupt("a page is cut off");
  const pgno = readU32(span, 0);
  const length = readU32(span, 6);
  if (
    pgno === 0 ||
    span[4] !== 0 ||
    span[5] !== SIZE_FOLLOWS ||
    length !== span.length - LTX_PAGE_HEADER_BYTES
  ) {
    throw ltxCorrupt(`page ${pgno} is not where the index says`);
  }
  const data = decompress(options.lz4 ?? lz4Block, span.subarray(LTX_PAGE_HEADER_BYTES), pageSize, pgno);
  return { pgno, data };
}

function decompress(lz4: Lz4, block: Uint8Array, size: number, pgno: number): Uint8Array {
  let data: Uint8Array;
  try {
    data = lz4.decompressBlock(block, size);
  } catch (cause) {
    throw ltxCorrupt(`page ${pgno} does not decompress`, cause);
  }
  if (data.length !== size) throw ltxCorrupt(`page ${pgno} has ${data.length} bytes`);
  return data;
}
