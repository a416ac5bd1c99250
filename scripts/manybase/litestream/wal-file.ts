/** SQLite's WAL as bytes, for Litestream 0.3's layout: https://www.sqlite.org/fileformat2.html#the_write_ahead_log */
import { UserError } from "../../../shared/errors.ts";
import type { LtxPage } from "../../../shared/ltx/ltx.ts";

export const WAL_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** The last bit says in which order of bytes checksums read their words. */
const MAGIC = 0x377f_0682;
const FORMAT = 3_007_000;

/** What one transaction wrote. */
export interface WalCommit {
  /** Size of the database after it, in pages. */
  commit: number;
  /** Newest version of each page that it wrote; bytes of their own. */
  pages: Map<number, Uint8Array>;
}

/** Writes the frames of one WAL, transaction by transaction. */
export class WalEncoder {
  readonly #pageSize: number;
  readonly #salts: readonly [number, number];
  readonly #sums = new Uint32Array(2);

  constructor(pageSize: number, salts: readonly [number, number]) {
    this.#pageSize = pageSize;
    this.#salts = salts;
  }

  /** Comes first. */
  header(): Uint8Array {
    const bytes = new Uint8Array(WAL_HEADER_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, MAGIC);
    view.setUint32(4, FORMAT);
    view.setUint32(8, this.#pageSize);
    view.setUint32(16, this.#salts[0]);
    view.setUint32(20, this.#salts[1]);
    addToChecksum(this.#sums, view, 0, 24, true);
    view.setUint32(24, this.#sums[0] as number);
    view.setUint32(28, this.#sums[1] as number);
    return bytes;
  }

  /** The frames of one transaction, at least one page; `commit` is the size of the database after it, in pages. */
  transaction(pages: readonly LtxPage[], commit: number): Uint8Array {
    const frameBytes = FRAME_HEADER_BYTES + this.#pageSize;
    const bytes = new Uint8Array(pages.length * frameBytes);
    const view = new DataView(bytes.buffer);
    for (const [i, { pgno, data }] of pages.entries()) {
      const at = i * frameBytes;
      view.setUint32(at, pgno);
      view.setUint32(at + 4, i === pages.length - 1 ? commit : 0);
      view.setUint32(at + 8, this.#salts[0]);
      view.setUint32(at + 12, this.#salts[1]);
      bytes.set(data, at + FRAME_HEADER_BYTES);
      addToChecksum(this.#sums, view, at, at + 8, true);
      addToChecksum(this.#sums, view, at + FRAME_HEADER_BYTES, at + frameBytes, true);
      view.setUint32(at + 16, this.#sums[0] as number);
      view.setUint32(at + 20, this.#sums[1] as number);
    }
    return bytes;
  }
}

/**
 * Reads one WAL that comes in pieces. Unlike SQLite it never stops in silence: a frame of another salt or checksum, and an end
 * in the middle of a frame or a transaction, are errors.
 */
export class WalDecoder {
  readonly #where: string;
  #littleEndian = true;
  #salts: [number, number] = [0, 0];
  #sums = new Uint32Array(2);
  #pageSize: number | undefined;
  #rest: Uint8Array = new Uint8Array(0);
  #open = new Map<number, Uint8Array>();

  /** @param where - for messages */
  constructor(where: string) {
    this.#where = where;
  }

  /** Undefined before the header came. */
  get pageSize(): number | undefined {
    return this.#pageSize;
  }

  /** @returns the transactions that are complete now @throws UserError `invalid_directory` */
  push(piece: Uint8Array): WalCommit[] {
    let bytes = piece;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + piece.length);
      bytes.set(this.#rest);
      bytes.set(piece, this.#rest.length);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    if (this.#pageSize === undefined) {
      if (bytes.length < WAL_HEADER_BYTES) {
        this.#rest = bytes;
        return [];
      }
      this.#header(view);
      at = WAL_HEADER_BYTES;
    }
    const frameBytes = FRAME_HEADER_BYTES + (this.#pageSize as unknown as number);
    const commits: WalCommit[] = [];
    for (; at + frameBytes <= bytes.length; at += frameBytes) {
      const commit = this.#frame(view, bytes, at, frameBytes);
      if (commit === 0) continue;
      commits.push({ commit, pages: this.#open });
      this.#open = new Map();
    }
    this.#rest = bytes.slice(at);
    return commits;
  }

  /** No more pieces come. @throws UserError `invalid_directory` when something is cut off */
  end(): void {
    if (this.#pageSize === undefined) throw damaged(this.#where, "it has no header");
    if (this.#rest.length > 0) throw damaged(this.#where, "it ends in the middle of a frame");
    if (this.#open.size > 0) throw damaged(this.#where, "it ends in the middle of a transaction");
  }

  #header(view: DataView): void {
    const magic = view.getUint32(0);
    if (magic !== MAGIC && magic !== MAGIC + 1) throw damaged(this.#where, "it does not begin as a WAL");
    this.#littleEndian = magic === MAGIC;
    addToChecksum(this.#sums, view, 0, 24, this.#littleEndian);
    if (view.getUint32(24) !== this.#sums[0] || view.getUint32(28) !== this.#sums[1]) {
      throw damaged(this.#where, "the checksum of its header does not match");
    }
    const pageSize = view.getUint32(8);
    if (pageSize < 512 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0) {
      throw damaged(this.#where, `its page size is ${pageSize}`);
    }
    this.#salts = [view.getUint32(16), view.getUint32(20)];
    this.#pageSize = pageSize;
  }

  /** @returns the size of the database when this frame ends a transaction, else 0 */
  #frame(view: DataView, bytes: Uint8Array, at: number, frameBytes: number): number {
    if (view.getUint32(at + 8) !== this.#salts[0] || view.getUint32(at + 12) !== this.#salts[1]) {
      throw damaged(this.#where, "a frame belongs to another WAL");
    }
    const body = at + FRAME_HEADER_BYTES;
    addToChecksum(this.#sums, view, at, at + 8, this.#littleEndian);
    addToChecksum(this.#sums, view, body, at + frameBytes, this.#littleEndian);
    if (view.getUint32(at + 16) !== this.#sums[0] || view.getUint32(at + 20) !== this.#sums[1]) {
      throw damaged(this.#where, "the checksum of a frame does not match");
    }
    const pgno = view.getUint32(at);
    if (pgno === 0) throw damaged(this.#where, "a frame has no page");
    this.#open.set(pgno, bytes.slice(body, at + frameBytes));
    return view.getUint32(at + 4);
  }
}

/** SQLite's WAL checksum over [from, to), a multiple of 8 bytes. */
function addToChecksum(
  sums: Uint32Array,
  view: DataView,
  from: number,
  to: number,
  littleEndian: boolean,
): void {
  let s0 = sums[0] as number;
  let s1 = sums[1] as number;
  for (let at = from; at < to; at += 8) {
    s0 = (s0 + view.getUint32(at, littleEndian) + s1) | 0;
    s1 = (s1 + view.getUint32(at + 4, littleEndian) + s0) | 0;
  }
  sums[0] = s0;
  sums[1] = s1;
}

const damaged = (where: string, state: string): UserError =>
  new UserError("invalid_directory", `Cannot import ${where}: ${state}`, {
    hint: "The replica is damaged or incomplete: copy it again, or take another generation (--generation).",
  });
