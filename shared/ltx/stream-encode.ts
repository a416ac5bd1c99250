import { Crc64 } from "./crc64.ts";
import {
  LTX_HEADER_BYTES,
  LTX_PAGE_HEADER_BYTES,
  LTX_TRAILER_BYTES,
  type LtxHeader,
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

const BUFFER_BYTES = 1024 * 1024;
const INDEX_CHUNK_BYTES = 64 * 1024;

/**
 * Writes an LTX file page by page, the same bytes as `encodeLtx`. What it keeps in memory is the index, about 11 bytes a page.
 *
 * @throws SystemError `internal` on the same misuse; what was written by then is no file
 */
export class LtxStreamEncoder {
  readonly #write: (bytes: Uint8Array) => void;
  readonly #commit: number;
  readonly #pageSize: number;
  readonly #snapshot: boolean;
  readonly #lock: number;
  readonly #crc = new Crc64();
  readonly #buffer: Uint8Array;
  #used = 0;
  #written = 0;
  #previous = 0;
  readonly #index: Uint8Array[] = [];
  #indexUsed = INDEX_CHUNK_BYTES;

  /** @param write - takes the bytes in order; they are good until it returns */
  constructor(header: LtxHeader, write: (bytes: Uint8Array) => void) {
    const defect = headerDefect(header);
    if (defect !== undefined) throw misuse(defect);
    this.#write = write;
    this.#commit = header.commit;
    this.#pageSize = header.pageSize;
    this.#snapshot = header.minTxid === 1;
    this.#lock = lockPage(header.pageSize);
    this.#buffer = new Uint8Array(BUFFER_BYTES);
    writeHeader(this.#buffer, header);
    this.#used = LTX_HEADER_BYTES;
    this.#crc.update(this.#buffer, 0, LTX_HEADER_BYTES);
  }

  /** Bytes so far; of the whole file after `end`. */
  get length(): number {
    return this.#written + this.#used;
  }

  page(pgno: number, data: Uint8Array): void {
    const [commit, previous] = [this.#commit, this.#previous];
    if (!Number.isSafeInteger(pgno) || pgno <= previous || pgno > commit || pgno === this.#lock) {
      throw misuse(`page ${pgno} of ${commit} after page ${previous}`);
    }
    if (this.#snapshot && pgno !== following(previous, this.#lock))
      throw misuse(`a snapshot without page ${previous + 1}`);
    if (data.length !== this.#pageSize) throw misuse(`page ${pgno} has ${data.length} bytes`);
    this.#previous = pgno;
    const block = lz4Block.compressBlock(data);
    const size = LTX_PAGE_HEADER_BYTES + block.length;
    const start = this.length;
    this.#room(size);
    const at = this.#used;
    writeU32(this.#buffer, at, pgno);
    this.#buffer[at + 4] = 0;
    this.#buffer[at + 5] = SIZE_FOLLOWS;
    writeU32(this.#buffer, at + 6, block.length);
    this.#buffer.set(block, at + LTX_PAGE_HEADER_BYTES);
    this.#crc.update(this.#buffer, at, at + LTX_PAGE_HEADER_BYTES).update(data);
    this.#used += size;
    this.#note(pgno, start, size);
  }

  /** Index and trailer. Nothing may follow. */
  end(): void {
    if (this.#snapshot && following(this.#previous, this.#lock) <= this.#commit)
      throw misuse(`a snapshot without page ${this.#previous + 1}`);
    this.#put(new Uint8Array(6));
    const indexStart = this.length;
    for (const [i, chunk] of this.#index.entries()) {
      this.#put(i === this.#index.length - 1 ? chunk.subarray(0, this.#indexUsed) : chunk);
    }
    this.#put(new Uint8Array(1));
    const trailer = new Uint8Array(8 + LTX_TRAILER_BYTES);
    writeU64(trailer, 0, this.length - indexStart);
    this.#crc.update(trailer, 0, 16);
    writeU32(trailer, 16, (this.#crc.high | 0x8000_0000) >>> 0);
    writeU32(trailer, 20, this.#crc.low);
    this.#room(trailer.length);
    this.#buffer.set(trailer, this.#used);
    this.#used += trailer.length;
    this.#flush();
  }

  #note(pgno: number, start: number, size: number): void {
    let chunk = this.#index.at(-1);
    if (chunk === undefined || chunk.length - this.#indexUsed < 3 * UVARINT_BYTES_MAX) {
      if (chunk !== undefined) this.#index[this.#index.length - 1] = chunk.subarray(0, this.#indexUsed);
      chunk = new Uint8Array(INDEX_CHUNK_BYTES);
      this.#index.push(chunk);
      this.#indexUsed = 0;
    }
    this.#indexUsed = writeUvarint(chunk, this.#indexUsed, pgno);
    this.#indexUsed = writeUvarint(chunk, this.#indexUsed, start);
    this.#indexUsed = writeUvarint(chunk, this.#indexUsed, size);
  }

  #put(bytes: Uint8Array): void {
    this.#crc.update(bytes);
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  /** @param size - at most a page and what goes with it, or a chunk of the index: far less than the buffer */
  #room(size: number): void {
    if (this.#used + size > this.#buffer.length) this.#flush();
  }

  #flush(): void {
    this.#write(this.#buffer.subarray(0, this.#used));
    this.#written += this.#used;
    this.#used = 0;
  }
}
