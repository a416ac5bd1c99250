import { SystemError } from "../../shared/errors.ts";
import type { DatabaseName, Epoch, TenantId, Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeHash } from "../../shared/log/entry-hash.ts";
import { encodeLtx } from "../../shared/ltx/encode.ts";
import { type LtxHeader, type LtxPage, completePages, lockPage } from "../../shared/ltx/ltx.ts";
import type { Position } from "../../shared/protocol/internal.ts";
import type { EntryCiphers } from "../encryption/entry-ciphers.ts";
import type { Connection } from "../sqlite/connection.ts";
import { packedPages } from "./bulk/packed-pages.ts";
import type { BulkChunks, BulkFacts, BulkFile } from "./bulk/work.ts";
import type { Clock } from "./clock.ts";
import { nextEntryHash, sha256Text } from "./hash.ts";
import { WalReader } from "./wal-reader.ts";

/** One flush of one database: a complete LTX file of one TXID. */
export interface Cut {
  tenant: TenantId;
  database: DatabaseName;
  epoch: Epoch;
  position: Position;
  /** Empty when the LTX file is a `file`. */
  ltx: Uint8Array;
  /** Made elsewhere, too large for memory. */
  file: BulkFile | undefined;
  /** Of the LTX file. */
  bytes: number;
  /** What stands in the log for it, when that is not the file itself: the tenant is encrypted. */
  stored: Uint8Array | undefined;
  pageSize: number;
  /** Pages of the database after it. */
  commit: number;
  timestampMs: number;
  /** Goes to the log by reference: too large, and chained by its hash. */
  sha256: string | undefined;
  /** What stands in the log for `sha256`, when the tenant is encrypted. */
  storedDigest: string | undefined;
}

/** A flush that is too large for one turn. Until `done` the WAL must stay as it is, and nothing else may be cut. */
export interface LargeCut {
  header: LtxHeader;
  pages: BulkChunks;
  /** Of the pages. */
  bytes: number;
  /** @param encoded - the LTX file of that header and those pages @throws SystemError `wal_lost` */
  done: (encoded: BulkFile & { sha256: string }) => Cut;
}

export interface CaptureOptions {
  tenant: TenantId;
  database: DatabaseName;
  epoch: Epoch;
  path: string;
  clock: Clock;
  /** Of an encrypted tenant's entries; without them the log has LTX files as they are. */
  ciphers?: EntryCiphers | undefined;
  /** What was loaded. The entry hash starts anew with the epoch, so only the TXID goes on. */
  txid: Txid;
  /** The chain within this epoch so far: "" but after a reload in the same epoch. */
  entryHash: string;
  /** Of the newest file that was loaded. */
  timestampMs: number;
}

/** Turns what SQLite committed to one database into LTX files with consecutive TXIDs. */
export class DatabaseCapture {
  readonly #options: CaptureOptions;
  #wal: WalReader;
  #txid: Txid;
  #entryHash: string;
  #timestampMs: number;
  /** What the file held before its first commit: SQLite writes the first page of a new database around the WAL. */
  #initial: Map<number, Uint8Array> | undefined;

  /** Right after the writer was opened, before it writes. `writer` is asked for its content only when nothing was loaded. */
  constructor(options: CaptureOptions, writer: Connection) {
    this.#options = options;
    this.#wal = new WalReader(options.path);
    this.#txid = options.txid;
    this.#entryHash = options.entryHash;
    this.#timestampMs = options.timestampMs;
    if (options.txid === 0) this.#initial = imagePages(writer.image());
  }

  get txid(): Txid {
    return this.#txid;
  }

  /** The chain within this epoch. */
  get entryHash(): string {
    return this.#entryHash;
  }

  /** In the turn of each commit. @throws SystemError `wal_lost` */
  committed(): void {
    this.#wal.committed();
  }

  /** Of the WAL; see WalReader. */
  lent(): void {
    this.#wal.lent();
  }

  /** Of the WAL; see WalReader. */
  unreadBytes(exactAbove: number): number {
    return this.#wal.unreadBytes(exactAbove);
  }

  /**
   * Everything up to the last commit frame; an open transaction's frames are for the next cut.
   * @param inlineBytesMax - a larger file goes to the log by reference
   * @param inTurnBytesMax - of pages: more are not encoded in this turn
   * @returns undefined when the commits changed nothing @throws SystemError `wal_lost`
   */
  cut(inlineBytesMax: number, inTurnBytesMax: number): Cut | LargeCut | undefined;
  cut(inlineBytesMax: number): Cut | undefined;
  cut(inlineBytesMax: number, inTurnBytesMax = Infinity): Cut | LargeCut | undefined {
    const changes = this.#wal.read();
    if (changes === undefined) return undefined;
    const { pageSize, commit, walOffset, walSize, salt1, salt2, bytes } = changes;
    const wal = { walOffset, walSize, salt1, salt2 };
    const initial = this.#initial;
    if (initial === undefined && bytes > inTurnBytesMax) {
      return {
        header: { ...this.nextFacts(), pageSize, commit, ...wal },
        pages: packedPages(changes.pagesLater(), pageSize),
        bytes,
        done: (encoded) => {
          this.#wal.checkUnchanged(changes);
          return this.cutEncoded(encoded);
        },
      };
    }
    const pages = initial === undefined ? changes.pages : this.#withInitial(changes);
    return this.#encode({ pageSize, commit, pages, wal, inlineBytesMax });
  }

  /** The content of a whole file that takes the database's place: all earlier commits are cut, and no more come before `replaced`. */
  cutFile(file: { pageSize: number; commit: number; pages: Iterable<LtxPage> }): Cut {
    const wal = { walOffset: 0, walSize: 0, salt1: 0, salt2: 0 };
    return this.#encode({ ...file, wal, inlineBytesMax: limits.logInlineEntryBytesMax });
  }

  /** What an LTX file that is made elsewhere must say to become the next cut. */
  nextFacts(): BulkFacts {
    const txid = (this.#txid + 1) as Txid;
    const timestampMs = Math.max(this.#options.clock.nowMs(), this.#timestampMs + 1);
    return { minTxid: txid, maxTxid: txid, timestampMs, epoch: this.#options.epoch };
  }

  /** As `cutFile`, of an LTX file on disk with the facts of `nextFacts`: always by reference. */
  cutEncoded(encoded: BulkFile & { sha256: string }): Cut {
    const { header, length } = encoded;
    if (header.minTxid !== this.#txid + 1 || header.maxTxid !== header.minTxid) {
      throw new SystemError(
        "internal",
        `Cannot cut ${this.#options.path}: TXID ${header.minTxid} is not next`,
      );
    }
    return this.#chain(header, { ltx: new Uint8Array(), file: encoded, bytes: length }, encoded.sha256);
  }

  /** The file of the last `cutFile` is in place and open. */
  replaced(): void {
    this.#initial = undefined;
    this.#wal.close();
    this.#wal = new WalReader(this.#options.path);
  }

  /**
   * Keeps the WAL short. Right after a cut, outside of transactions: what is not captured must stay in the WAL.
   */
  checkpoint(writer: Connection, mode: "PASSIVE" | "TRUNCATE"): void {
    if (this.#wal.frames < (mode === "PASSIVE" ? limits.checkpointPages : 1)) return;
    const captured = this.#wal.frames;
    const { busy, frames, done } = writer.checkpoint(mode);
    if (frames > captured) {
      throw new SystemError(
        "wal_lost",
        `Cannot checkpoint ${this.#options.path}: frames that were not captured`,
        {
          details: { frames, captured },
        },
      );
    }
    // A TRUNCATE answers with the frames that are left: none. One that a reader kept from cutting the WAL off has still moved
    // every frame, so the WAL may start again when that reader is gone.
    const isTruncated = mode === "TRUNCATE" && !busy;
    if (frames === done && (isTruncated || frames === captured)) this.#wal.checkpointed(isTruncated);
  }

  close(): void {
    this.#wal.close();
  }

  #encode(input: {
    pageSize: number;
    commit: number;
    pages: Iterable<LtxPage>;
    wal: { walOffset: number; walSize: number; salt1: number; salt2: number };
    inlineBytesMax: number;
  }): Cut {
    const { tenant, ciphers } = this.#options;
    const { pageSize, commit, pages, wal, inlineBytesMax } = input;
    const header = { ...this.nextFacts(), pageSize, commit, ...wal };
    const ltx = encodeLtx(header, pages);
    const bytes = ltx.length;
    const inLog = ciphers?.storedBytes(tenant, bytes) ?? bytes;
    const byReference = inLog > inlineBytesMax ? sha256Text(ltx) : undefined;
    return this.#chain(header, { ltx, file: undefined, bytes }, byReference);
  }

  /** Gives out the TXID. */
  #chain(header: LtxHeader, content: Pick<Cut, "ltx" | "file" | "bytes">, sha256: string | undefined): Cut {
    const { tenant, database, epoch, ciphers } = this.#options;
    const { pageSize, commit, timestampMs, maxTxid: txid } = header;
    const { ltx } = content;
    const place = { tenant, database, epoch, txid };
    const stored = sha256 === undefined ? ciphers?.seal(place, ltx) : undefined;
    const storedDigest = sha256 === undefined ? undefined : ciphers?.sealDigest(place, sha256);
    const body = sha256 === undefined ? (stored ?? ltx) : decodeHash(storedDigest ?? sha256);
    this.#txid = txid;
    this.#entryHash = nextEntryHash(this.#entryHash, body);
    this.#timestampMs = timestampMs;
    this.#initial = undefined;
    const position = { txid, entryHash: this.#entryHash };
    return {
      ...{ tenant, database, epoch, position, stored, pageSize, commit, timestampMs, sha256, storedDigest },
      ...content,
    };
  }

  #withInitial(changes: { pageSize: number; commit: number; pages: Iterable<LtxPage> }): Iterable<LtxPage> {
    const pages = new Map(this.#initial);
    for (const { pgno, data } of changes.pages) pages.set(pgno, data);
    return pagesOf(completePages(pages, changes.pageSize, changes.commit));
  }
}

/** The pages of a database image, without the lock page. */
export function imagePages(image: Uint8Array): Map<number, Uint8Array> {
  const pages = new Map<number, Uint8Array>();
  if (image.length === 0) return pages;
  const pageSize = imagePageSize(image);
  const lock = lockPage(pageSize);
  for (let pgno = 1; pgno * pageSize <= image.length; pgno++) {
    if (pgno !== lock) pages.set(pgno, image.subarray((pgno - 1) * pageSize, pgno * pageSize));
  }
  return pages;
}

/** From bytes 16 and 17 of the database header, where 1 stands for 65536. */
export function imagePageSize(image: Uint8Array): number {
  const raw = ((image[16] as number) << 8) | (image[17] as number);
  return raw === 1 ? 65_536 : raw;
}

function* pagesOf(pages: ReadonlyMap<number, Uint8Array>): Generator<LtxPage> {
  for (const [pgno, data] of pages) yield { pgno, data };
}
