import { fstatSync, readSync } from "node:fs";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { WalFile } from "./wal-file.ts";
import { WalLag } from "./wal-lag.ts";

const WAL_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const WAL_READ_BYTES_MIN = 8 * 1024;
const MAGIC = 0x377f0682;
const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** One for all readers: reading and encoding are one synchronous step, and thousands of databases are open. */
let scratch = new Uint8Array(WAL_READ_BYTES_MIN);

/** New committed frames of a WAL. */
export interface WalChanges {
  pageSize: number;
  /** Size of the database in pages after the last commit. */
  commit: number;
  salt1: number;
  salt2: number;
  /** The range of the -wal file that was read. */
  walOffset: number;
  walSize: number;
  /** Newest version of each changed page, ascending, none above `commit`. Bytes are valid until the next call of any reader. */
  pages: Iterable<{ pgno: number; data: Uint8Array }>;
  /** The same, each read from the file when it is taken: `checkUnchanged` tells afterwards whether that was right. */
  pagesLater: () => Iterable<{ pgno: number; data: Uint8Array }>;
  /** Sum of the pages' sizes. */
  bytes: number;
}

/**
 * Reads what SQLite committed to a `-wal` file since the last call, by a descriptor of its own (POSIX locks are on the other two
 * files, which nothing of ours may open). Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
 *
 * The reader must see every frame before it can be overwritten: SQLite starts the WAL again only after a checkpoint of all of
 * it, and only `checkpointed()` announces one. Everything else that does not fit throws `wal_lost`.
 */
export class WalReader {
  readonly #file: WalFile;
  #salt1 = 0;
  #salt2 = 0;
  #pageSize = 0;
  /** End of the last captured frame; 0 before the first header was seen. */
  #end = 0;
  /** The checksum up to `#end`. */
  readonly #sums = new Uint32Array(2);
  /** All captured frames are in the database file: SQLite may start the WAL again, with salt1 + 1. */
  #mayRestart = true;
  /** By our TRUNCATE. SQLite counts salt1 up at each, so there must be no second one before the next header. */
  #emptied = false;
  /** Another process may have begun the WAL anew since the last commit: its salts then are any. */
  #strangers = false;
  #readAhead = WAL_READ_BYTES_MIN;
  readonly #lag = new WalLag();

  /** Opens right after SQLite did, before the first commit. */
  constructor(databasePath: string) {
    this.#file = new WalFile(`${databasePath}-wal`);
  }

  /** Frames that capture has seen and that are still in the file. */
  get frames(): number {
    return this.#emptied || this.#end === 0
      ? 0
      : (this.#end - WAL_HEADER_BYTES) / (this.#pageSize + FRAME_HEADER_BYTES);
  }

  /** A checkpoint of ours moved all frames, and emptied the file or left it. */
  checkpointed(emptied: boolean): void {
    this.#mayRestart = true;
    this.#emptied ||= emptied;
  }

  /**
   * A process of ours may write from now on, one transaction at a time, and may die in it. A connection that starts the WAL for
   * the first time chooses salts of its own, and one that dies leaves a header without a commit behind. All that may only
   * happen to a WAL that was captured and checkpointed as a whole.
   */
  lent(): void {
    this.#strangers = true;
  }

  /**
   * SQLite has committed, in this turn. Notes the first frames after a start of the WAL: from here on it must not start again,
   * so that a checkpoint by anybody else cannot make them vanish unnoticed.
   */
  committed(): void {
    if (!this.#mayRestart) return;
    const header = this.#at(0, WAL_HEADER_BYTES + FRAME_HEADER_BYTES);
    if (header === undefined || header.length < WAL_HEADER_BYTES + FRAME_HEADER_BYTES) return;
    const view = new DataView(header.buffer, header.byteOffset, header.length);
    const salt1 = view.getUint32(16);
    const salt2 = view.getUint32(20);
    if (this.#end !== 0 && salt1 === this.#salt1 && salt2 === this.#salt2) {
      // Not started again: are there frames behind the captured ones?
      const next = this.#at(this.#end, FRAME_HEADER_BYTES);
      if (next === undefined || next.length < FRAME_HEADER_BYTES) return;
      const frame = new DataView(next.buffer, next.byteOffset, FRAME_HEADER_BYTES);
      if (frame.getUint32(8) === salt1 && frame.getUint32(12) === salt2) this.#begun();
      return;
    }
    // A header without a frame of its own is still to be written to.
    if (view.getUint32(40) !== salt1 || view.getUint32(44) !== salt2) return;
    if (this.#readHeader(header.length)) this.#begun();
  }

  /**
   * What the next `read` will give, an open transaction's frames included: each page that was written counts once.
   * @param exactAbove - up to here the length of the file may stand for it: what an earlier generation of the WAL left behind
   *   the live frames, and pages that were written again, are counted, too
   */
  unreadBytes(exactAbove: number): number {
    const from = Math.max(this.#end, WAL_HEADER_BYTES);
    const { size } = fstatSync(this.#descriptor());
    const most = Math.max(0, size - from);
    if (most <= exactAbove || this.#pageSize === 0) return most;
    const frameBytes = this.#pageSize + FRAME_HEADER_BYTES;
    return this.#lag.bytes({
      ...{ from, size, frameBytes, salt1: this.#salt1, salt2: this.#salt2 },
      headerAt: (offset) => this.#headerAt(offset),
      continues: (offset) => this.#continues(offset, frameBytes),
    });
  }

  /** Whether the frame there follows the one before it in the chain of checksums. */
  #continues(offset: number, frameBytes: number): boolean {
    const sums = new Uint32Array(this.#sums);
    if (offset !== this.#end) {
      const before = this.#headerAt(offset - frameBytes);
      if (before === undefined) return false;
      sums[0] = before.getUint32(16);
      sums[1] = before.getUint32(20);
    }
    const frame = this.#at(offset, frameBytes);
    if (frame?.length !== frameBytes) return false;
    const words = new Int32Array(frame.buffer, frame.byteOffset, frameBytes >>> 2);
    addToChecksum(sums, words, 0, 2);
    addToChecksum(sums, words, FRAME_HEADER_BYTES >>> 2, frameBytes >>> 2);
    const view = new DataView(frame.buffer, frame.byteOffset, FRAME_HEADER_BYTES);
    return sums[0] === view.getUint32(16) && sums[1] === view.getUint32(20);
  }

  #headerAt(offset: number): DataView | undefined {
    const header = this.#at(offset, FRAME_HEADER_BYTES);
    if (header === undefined || header.length < FRAME_HEADER_BYTES) return undefined;
    return new DataView(header.buffer, header.byteOffset, header.length);
  }

  /** @returns undefined when nothing was committed since the last call @throws SystemError `wal_lost` */
  read(): WalChanges | undefined {
    const { size, nlink } = fstatSync(this.#descriptor());
    if (nlink === 0) throw this.#deleted();
    // First the header: after a start that was not announced, frames of before may still be whole behind the new ones.
    const begun = this.#readHeader(size);
    const from = this.#end;
    const found = begun ? this.#scan(size) : undefined;
    if (found === undefined) {
      if (size < this.#end && !this.#mayRestart) throw this.#lost("the file became shorter");
      return undefined;
    }
    this.#begun();
    const pgnos = [...found.frames.keys()].filter((pgno) => pgno <= found.commit).sort((a, b) => a - b);
    return {
      pageSize: this.#pageSize,
      commit: found.commit,
      salt1: this.#salt1,
      salt2: this.#salt2,
      walOffset: from,
      walSize: this.#end - from,
      pages: this.#pages(pgnos, found),
      pagesLater: () => this.#pages(pgnos, { ...found, held: undefined }),
      bytes: pgnos.length * this.#pageSize,
    };
  }

  /** What `read` said of these frames still stands where it stood. @throws SystemError `wal_lost` */
  checkUnchanged({ salt1, salt2 }: Pick<WalChanges, "salt1" | "salt2">): void {
    if (fstatSync(this.#descriptor()).nlink === 0) throw this.#deleted();
    const header = this.#at(0, WAL_HEADER_BYTES);
    if (header?.length !== WAL_HEADER_BYTES) throw this.#lost("the file was emptied");
    const view = new DataView(header.buffer, header.byteOffset, WAL_HEADER_BYTES);
    // SQLite writes the header before it overwrites a frame.
    if (view.getUint32(16) === salt1 && view.getUint32(20) === salt2) return;
    throw this.#lost("another checkpoint than ours started it again");
  }

  close(): void {
    this.#file.close();
  }

  /** Something was committed: it must be captured before the WAL may start again. */
  #begun(): void {
    this.#mayRestart = false;
    this.#strangers = false;
  }

  /** @returns whether there is a header; follows a restart that was announced */
  #readHeader(size: number): boolean {
    if (size === 0) {
      if (!this.#mayRestart) throw this.#lost("the file was emptied");
      return false;
    }
    const header = this.#at(0, WAL_HEADER_BYTES);
    if (header === undefined || header.length < WAL_HEADER_BYTES) return false;
    const view = new DataView(header.buffer, header.byteOffset, WAL_HEADER_BYTES);
    const salt1 = view.getUint32(16);
    const salt2 = view.getUint32(20);
    if (this.#end !== 0 && salt1 === this.#salt1 && salt2 === this.#salt2) return true;
    const isNext = this.#strangers || salt1 === (this.#salt1 + 1) >>> 0;
    if (this.#end !== 0 && (!this.#mayRestart || !isNext)) {
      throw this.#lost("another checkpoint than ours started it again");
    }
    if (view.getUint32(0) !== (littleEndian ? MAGIC : MAGIC + 1)) throw this.#lost("its header is damaged");
    const words = new Int32Array(header.buffer, header.byteOffset, WAL_HEADER_BYTES / 4);
    const sums = new Uint32Array(2);
    addToChecksum(sums, words, 0, 6);
    if (sums[0] !== view.getUint32(24) || sums[1] !== view.getUint32(28))
      throw this.#lost("its header is damaged");
    const rawPageSize = view.getUint32(8);
    this.#pageSize = rawPageSize === 1 ? 65_536 : rawPageSize;
    this.#salt1 = salt1;
    this.#salt2 = salt2;
    this.#sums.set(sums);
    this.#end = WAL_HEADER_BYTES;
    this.#emptied = false;
    return true;
  }

  /** Walks the frames after `#end`; stops at the first that is not of this chain, and keeps only what a commit frame closed. */
  #scan(size: number): Found | undefined {
    const frameBytes = this.#pageSize + FRAME_HEADER_BYTES;
    const sums = new Uint32Array(this.#sums);
    const frames = new Map<number, number>();
    const open = new Map<number, number>();
    let found: Found | undefined;
    const start = this.#end;
    let held: { offset: number; bytes: Uint8Array } | undefined;
    scan: for (let at = start; at + frameBytes <= size;) {
      const bytes = this.#at(at, Math.min(Math.max(this.#readAhead, frameBytes), size - at));
      if (bytes === undefined || bytes.length < frameBytes) break;
      held = at === start ? { offset: at, bytes } : undefined;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
      // The header alone of a frame behind the live ones ends the scan: otherwise each cut would read twice.
      for (let o = 0; o + FRAME_HEADER_BYTES <= bytes.length; o += frameBytes, at += frameBytes) {
        if (view.getUint32(o + 8) !== this.#salt1 || view.getUint32(o + 12) !== this.#salt2) break scan;
        if (o + frameBytes > bytes.length) break;
        addToChecksum(sums, words, o >>> 2, (o >>> 2) + 2);
        addToChecksum(sums, words, (o + FRAME_HEADER_BYTES) >>> 2, (o + frameBytes) >>> 2);
        if (sums[0] !== view.getUint32(o + 16) || sums[1] !== view.getUint32(o + 20)) break scan;
        open.set(view.getUint32(o), at + FRAME_HEADER_BYTES);
        const commit = view.getUint32(o + 4);
        if (commit === 0) continue;
        for (const [pgno, offset] of open) frames.set(pgno, offset);
        open.clear();
        found = { commit, frames, held: undefined };
        this.#end = at + frameBytes;
        this.#sums.set(sums);
      }
    }
    if (found !== undefined && held !== undefined) found.held = held;
    // The file may be longer than its live part, so read about as much as cuts of late have used.
    const wanted = (this.#end - start) * 1.25;
    this.#readAhead = Math.min(Math.max(wanted, WAL_READ_BYTES_MIN), limits.walReadBytesMax);
    return found;
  }

  *#pages(pgnos: readonly number[], { frames, held }: Found): Generator<{ pgno: number; data: Uint8Array }> {
    for (const pgno of pgnos) {
      const offset = frames.get(pgno) ?? 0;
      if (held !== undefined) {
        const from = offset - held.offset;
        yield { pgno, data: held.bytes.subarray(from, from + this.#pageSize) };
        continue;
      }
      // More than one chunk was read, so the buffer holds only the last one: fetch the page again.
      const data = new Uint8Array(this.#pageSize);
      if (readSync(this.#descriptor(), data, 0, data.length, offset) !== data.length) {
        throw this.#lost("a frame vanished while it was read");
      }
      yield { pgno, data };
    }
  }

  /** @returns up to `length` bytes at `offset` in the scratch buffer, undefined at the end of the file */
  #at(offset: number, length: number): Uint8Array | undefined {
    if (scratch.length < length) scratch = new Uint8Array(length);
    const got = readSync(this.#descriptor(), scratch, 0, length, offset);
    return got === 0 ? undefined : scratch.subarray(0, got);
  }

  #descriptor(): number {
    const { descriptor } = this.#file;
    if (descriptor === undefined) throw this.#deleted();
    return descriptor;
  }

  #deleted(): SystemError {
    return this.#lost("the file was deleted while it was in use");
  }

  #lost(state: string): SystemError {
    return new SystemError("wal_lost", `Cannot capture ${this.#file.path}: ${state}`, {
      hint: "Nothing but this worker may touch its data directory; the tenant is loaded again from object storage.",
    });
  }
}

interface Found {
  commit: number;
  /** Page number → file offset of its newest committed bytes. */
  frames: Map<number, number>;
  /** Present when all frames fit into one read: their bytes. */
  held: { offset: number; bytes: Uint8Array } | undefined;
}

/** SQLite's WAL checksum over native 32-bit words [from, to), an even number of them. */
function addToChecksum(sums: Uint32Array, words: Int32Array, from: number, to: number): void {
  let s0 = (sums[0] as number) | 0;
  let s1 = (sums[1] as number) | 0;
  for (let i = from; i < to; i += 2) {
    s0 = (((s0 + (words[i] as number)) | 0) + s1) | 0;
    s1 = (((s1 + (words[i + 1] as number)) | 0) + s0) | 0;
  }
  sums[0] = s0;
  sums[1] = s1;
}
