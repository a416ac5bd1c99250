import { Crc64 } from "./crc64.ts";
import {
  LTX_HEADER_BYTES,
  LTX_PAGE_HEADER_BYTES,
  LTX_TRAILER_BYTES,
  type LtxHeader,
  type LtxPage,
  type Lz4,
  headerDefect,
  lockPage,
} from "./ltx.ts";
import { lz4Block } from "./lz4-block.ts";
import {
  SIZE_FOLLOWS,
  UVARINT_BYTES_MAX,
  following,
  misuse,
  writeHeader,
  writeU32,
  writeU64,
  writeUvarint,
} from "./write.ts";

const SCRATCH_BYTES_MAX = 1024 * 1024;

/** Encoding is one synchronous step, and each commit would pay for clearing a new buffer. */
let scratch = new Uint8Array(64 * 1024);

/**
 * One LTX file. Pages ascend, none is the lock page or above `commit`; with minTxid 1 none may be missing (`completePages`).
 * The CRC covers the pages uncompressed, so any LZ4 implementation gives a file with the same checksum.
 *
 * @throws SystemError `internal` when header or pages break those rules: the caller's defect, nothing was written
 */
export function encodeLtx(
  header: LtxHeader,
  pages: Iterable<LtxPage>,
  options: { lz4?: Lz4 } = {},
): Uint8Array {
  const defect = headerDefect(header);
  if (defect !== undefined) throw misuse(defect);
  const lz4 = options.lz4 ?? lz4Block;
  const { pageSize, commit } = header;
  const lock = lockPage(pageSize);
  const snapshot = header.minTxid === 1;
  const crc = new Crc64();
  const index: number[] = [];
  let target = scratch;
  let out = LTX_HEADER_BYTES;
  target.fill(0, 0, LTX_HEADER_BYTES);
  writeHeader(target, header);
  crc.update(target, 0, out);

  let previous = 0;
  for (const { pgno, data, block: packed } of pages) {
    if (!Number.isSafeInteger(pgno) || pgno <= previous || pgno > commit || pgno === lock) {
      throw misuse(`page ${pgno} of ${commit} after page ${previous}`);
    }
    if (snapshot && pgno !== following(previous, lock))
      throw misuse(`a snapshot without page ${previous + 1}`);
    if (data.length !== pageSize) throw misuse(`page ${pgno} has ${data.length} bytes`);
    previous = pgno;
    const block = packed ?? lz4.compressBlock(data);
    target = ensure(target, out, LTX_PAGE_HEADER_BYTES + block.length);
    const start = out;
    writeU32(target, out, pgno);
    target[out + 4] = 0;
    target[out + 5] = SIZE_FOLLOWS;
    writeU32(target, out + 6, block.length);
    out += LTX_PAGE_HEADER_BYTES;
    crc.update(target, start, out).update(data);
    target.set(block, out);
    out += block.length;
    index.push(pgno, start, out - start);
  }
  if (snapshot && following(previous, lock) <= commit)
    throw misuse(`a snapshot without page ${previous + 1}`);

  target = ensure(target, out, 6 + index.length * UVARINT_BYTES_MAX + 1 + 8 + LTX_TRAILER_BYTES);
  const tail = out;
  target.fill(0, out, out + 6);
  out += 6;
  const indexStart = out;
  for (const value of index) out = writeUvarint(target, out, value);
  target[out++] = 0;
  writeU64(target, out, out - indexStart);
  out += 8;
  target.fill(0, out, out + 8);
  out += 8;
  crc.update(target, tail, out);
  writeU32(target, out, (crc.high | 0x8000_0000) >>> 0);
  writeU32(target, out + 4, crc.low);
  if (target.length <= SCRATCH_BYTES_MAX) scratch = target;
  return target.slice(0, out + 8);
}

function ensure(target: Uint8Array<ArrayBuffer>, used: number, more: number): Uint8Array<ArrayBuffer> {
  if (used + more <= target.length) return target;
  const grown = new Uint8Array(Math.max(target.length * 2, used + more));
  grown.set(target.subarray(0, used));
  return grown;
}
