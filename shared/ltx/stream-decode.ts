import { SystemError } from "../errors.ts";
import { ByteQueue } from "./byte-queue.ts";
import { Crc64 } from "./crc64.ts";
import { decodeLtxHeader } from "./decode.ts";
import {
  LTX_HEADER_BYTES,
  LTX_PAGE_HEADER_BYTES,
  LTX_TRAILER_BYTES,
  type LtxHeader,
  type LtxPage,
  lockPage,
  ltxCorrupt,
} from "./ltx.ts";
import { decompressLz4Into } from "./lz4-block.ts";
import { readU32, readU64 } from "./read.ts";
import { SIZE_FOLLOWS, UVARINT_BYTES_MAX, following, writeUvarint } from "./write.ts";

const INDEX_STEP_BYTES = 64 * 1024;
const END_MARKER_BYTES = 6;

/**
 * Reads an LTX file that comes in pieces, page by page, in memory of a few pages whatever its size. It proves what `decodeLtx`
 * proves, but only `end` says so: until then the pages are claims, and whoever has used them must be able to take that back.
 */
export class LtxStreamDecoder {
  readonly #queue = new ByteQueue();
  readonly #crc = new Crc64();
  /** The index as the pages want it, and as it is: compared by checksum, since one of 16 GiB would not be small. */
  readonly #indexWanted = new Crc64();
  readonly #indexFound = new Crc64();
  readonly #varints = new Uint8Array(3 * UVARINT_BYTES_MAX);
  #header: LtxHeader | undefined;
  #page = new Uint8Array();
  #blockBytesMax = 0;
  #lock = 0;
  #previous = 0;
  #count = 0;
  #offset = LTX_HEADER_BYTES;
  #indexBytes = 0;
  #indexSeen = 0;
  #state: "header" | "pages" | "index" | "trailer" | "whole" = "header";

  /** Known from the first 100 bytes on. */
  get header(): LtxHeader | undefined {
    return this.#header;
  }

  /** Pages so far. */
  get count(): number {
    return this.#count;
  }

  /** The chunk is kept until its pages are taken. */
  push(chunk: Uint8Array): void {
    this.#queue.push(chunk);
  }

  /**
   * The next page; its data are good until the next call. `more`: push first, or `end` if there is no more.
   * @throws SystemError `object_corrupt` or `object_version`
   */
  next(): LtxPage | "more" {
    this.readHeader();
    if (this.#state === "pages") {
      const page = this.#readPage();
      if (page !== undefined) return page;
    }
    if (this.#state === "index") this.#readIndex();
    if (this.#state === "trailer") this.#readTrailer();
    if (this.#state === "whole" && this.#queue.length > 0) {
      throw ltxCorrupt(`${this.#queue.length} bytes follow its trailer`);
    }
    return "more";
  }

  /** After the last byte, with all pages taken. @throws SystemError `object_corrupt` when anything is missing */
  end(): LtxHeader {
    if (this.next() !== "more") throw ltxCorrupt("pages of it were not taken");
    if (this.#header === undefined) throw ltxCorrupt(`${this.#queue.length} bytes are less than a header`);
    if (this.#state !== "whole") {
      throw ltxCorrupt(this.#state === "pages" ? "it ends among the pages" : "it ends before its trailer");
    }
    return this.#header;
  }

  /** Sets `header` if its bytes are there. @throws as `next` */
  readHeader(): void {
    const bytes = this.#state === "header" ? this.#queue.peek(LTX_HEADER_BYTES) : undefined;
    if (bytes === undefined) return;
    const header = decodeLtxHeader(bytes);
    this.#crc.update(bytes);
    this.#queue.skip(LTX_HEADER_BYTES);
    this.#header = header;
    this.#page = new Uint8Array(header.pageSize);
    this.#blockBytesMax = header.pageSize + Math.floor(header.pageSize / 255) + 16;
    this.#lock = lockPage(header.pageSize);
    this.#state = "pages";
  }

  #readPage(): LtxPage | undefined {
    const { commit, minTxid } = this.#header as LtxHeader;
    const start = this.#queue.peek(END_MARKER_BYTES);
    if (start === undefined) return undefined;
    const pgno = readU32(start, 0);
    const flags = ((start[4] as number) << 8) | (start[5] as number);
    const expected = following(this.#previous, this.#lock);
    if (pgno === 0 && flags === 0) {
      if (minTxid === 1 && expected <= commit) {
        throw ltxCorrupt(`a snapshot of ${commit} pages ends after page ${this.#previous}`);
      }
      this.#crc.update(start);
      this.#queue.skip(END_MARKER_BYTES);
      this.#expectIndex([0]);
      this.#state = "index";
      return undefined;
    }
    if (flags !== SIZE_FOLLOWS) {
      throw new SystemError("object_version", `Cannot read LTX file: page ${pgno} has flags ${flags}`);
    }
    if (pgno < expected || pgno > commit || pgno === this.#lock || (minTxid === 1 && pgno !== expected)) {
      throw ltxCorrupt(`page ${pgno} of ${commit} after page ${this.#previous}`);
    }
    const head = this.#queue.peek(LTX_PAGE_HEADER_BYTES);
    if (head === undefined) return undefined;
    const length = readU32(head, 6);
    // No block of LZ4 is longer, and a damaged length must not make us wait for gigabytes.
    if (length > this.#blockBytesMax) throw ltxCorrupt(`page ${pgno} has ${length} compressed bytes`);
    const whole = this.#queue.peek(LTX_PAGE_HEADER_BYTES + length);
    if (whole === undefined) return undefined;
    try {
      decompressLz4Into(whole.subarray(LTX_PAGE_HEADER_BYTES), this.#page);
    } catch (cause) {
      throw ltxCorrupt(`page ${pgno} does not decompress`, cause);
    }
    this.#crc.update(whole, 0, LTX_PAGE_HEADER_BYTES).update(this.#page);
    this.#queue.skip(whole.length);
    this.#expectIndex([pgno, this.#offset, whole.length]);
    this.#offset += whole.length;
    this.#previous = pgno;
    this.#count++;
    return { pgno, data: this.#page };
  }

  #expectIndex(values: readonly number[]): void {
    let end = 0;
    for (const value of values) end = writeUvarint(this.#varints, end, value);
    this.#indexWanted.update(this.#varints, 0, end);
    this.#indexBytes += end;
  }

  #readIndex(): void {
    while (this.#indexSeen < this.#indexBytes) {
      const step = Math.min(this.#queue.length, this.#indexBytes - this.#indexSeen, INDEX_STEP_BYTES);
      const bytes = step === 0 ? undefined : this.#queue.peek(step);
      if (bytes === undefined) return;
      this.#crc.update(bytes);
      this.#indexFound.update(bytes);
      this.#queue.skip(step);
      this.#indexSeen += step;
    }
    if (this.#indexFound.high !== this.#indexWanted.high || this.#indexFound.low !== this.#indexWanted.low) {
      throw ltxCorrupt("its index differs from its pages");
    }
    this.#state = "trailer";
  }

  #readTrailer(): void {
    const bytes = this.#queue.peek(8 + LTX_TRAILER_BYTES);
    if (bytes === undefined) return;
    if (readU64(bytes, 0) !== this.#indexBytes) throw ltxCorrupt("the length of its index is wrong");
    if (readU64(bytes, 8) !== 0) throw ltxCorrupt("a post-apply checksum in a file without checksums");
    this.#crc.update(bytes, 0, 16);
    if (readU32(bytes, 16) !== (this.#crc.high | 0x8000_0000) >>> 0 || readU32(bytes, 20) !== this.#crc.low) {
      throw ltxCorrupt("its checksum does not match");
    }
    this.#queue.skip(bytes.length);
    this.#state = "whole";
  }
}
