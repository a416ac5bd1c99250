import { rmSync } from "node:fs";
import { limits } from "../../shared/limits.ts";
import type { LtxPage } from "../../shared/ltx/ltx.ts";
import type { BulkFacts, BulkFile, BulkWork } from "../replication/bulk/work.ts";
import type { Cut, LargeCut } from "../replication/capture.ts";
import type { DatabasePosition } from "../replication/position.ts";
import type { DatabaseImage } from "../replication/prefix-writer.ts";
import type { DatabaseFiles } from "./database-files.ts";
import type { DatabaseHome } from "./database-home.ts";
import type { DatabaseLag } from "./database-lag.ts";
import type { Lending } from "./lending.ts";

/** Encodes what a cut has taken, where that holds up nobody. The file of the result is the caller's to remove. */
export type LaterCut = (work: BulkWork, signal: AbortSignal) => Promise<Cut>;

/** The database whose commits are cut. */
export interface CutSource {
  readonly home: DatabaseHome;
  readonly position: DatabasePosition;
  readonly files: DatabaseFiles;
  readonly lag: DatabaseLag;
  readonly lending: Lending;
}

/** What of one database goes to object storage: its commits cut by cut, whole files in its place, images as of a cut. */
export class DatabaseCuts {
  readonly #home: DatabaseHome;
  readonly #position: DatabasePosition;
  readonly #files: DatabaseFiles;
  readonly #lag: DatabaseLag;
  readonly #lending: Lending;
  #imageWanted: ((image: DatabaseImage | undefined) => void)[] = [];

  constructor({ home, position, files, lag, lending }: CutSource) {
    this.#home = home;
    this.#position = position;
    this.#files = files;
    this.#lag = lag;
    this.#lending = lending;
  }

  /** Somebody wants an image as of the next cut. */
  get isAwaited(): boolean {
    return this.#imageWanted.length > 0;
  }

  /**
   * Everything committed since the last cut.
   * @param inlineBytesMax - a larger one goes to the log by reference
   * @returns when it is too large for one turn, what makes it: no other may be asked for before that is through
   * @throws SystemError `wal_lost`: the tenant must stop
   */
  cut(inlineBytesMax: number): Cut | LaterCut | undefined {
    const { capture, writer } = this.#files;
    if (!this.#position.dirty || capture === undefined || writer === undefined) return undefined;
    const cut = capture.cut(inlineBytesMax, limits.cutInTurnBytesMax);
    if (cut !== undefined && "pages" in cut) return this.#cutLater(cut);
    this.#cutDone(cut);
    this.#rested();
    return cut;
  }

  /** Until it is through the database counts as dirty, so nobody touches its WAL. */
  #cutLater({ header, pages, bytes, done }: LargeCut): LaterCut {
    this.#position.cutBegins();
    this.#lag.cuttingBytes = bytes;
    return async (work, signal) => {
      const encoded = await work.run("pages", { target: `${this.#files.path}.cut`, header }, pages, signal);
      this.#home.checkHere();
      const cut = done(encoded);
      this.#lag.cuttingBytes = 0;
      this.#cutDone(cut);
      // Otherwise the next cut does it: what was committed meanwhile is not captured.
      if (!this.#position.dirty) this.#rested();
      return cut;
    };
  }

  /** Everything that is committed is cut. */
  #rested(): void {
    const { capture, writer } = this.#files;
    if (capture === undefined || writer === undefined) return;
    const inTransaction = writer.inTransaction || this.#lending.isLent;
    if (!inTransaction) capture.checkpoint(writer, "PASSIVE");
    this.#serveImages();
    this.#files.trimSecondaries();
  }

  /** The cut of a whole file that is about to take this database's place. Under the write lock, with nothing dirty. */
  cutFile(file: { pageSize: number; commit: number; pages: Iterable<LtxPage> }): Cut {
    return this.#files.open().capture.cutFile(file);
  }

  /** As `cutFile`, by way of an LTX file that `encode` makes with these facts. */
  async cutEncoded(encode: (facts: BulkFacts) => Promise<BulkFile & { sha256: string }>): Promise<Cut> {
    const { capture } = this.#files.open();
    const encoded = await encode(capture.nextFacts());
    this.#home.checkHere();
    return capture.cutEncoded(encoded);
  }

  /** Puts the file of `cut` in place. @param place - moves it to `path`; nothing has it open then */
  replace(cut: Cut, place: () => void): void {
    this.#files.replace(() => {
      for (const suffix of ["", "-wal", "-shm"]) rmSync(`${this.#files.path}${suffix}`, { force: true });
      place();
    });
    this.#position.committed(this.#home.clock.monotonicMs());
    this.#cutDone(cut);
  }

  /** The content as of a cut; resolves when that cut is durable. */
  async image(): Promise<DatabaseImage | undefined> {
    this.#home.checkHere();
    const image = await new Promise<DatabaseImage | undefined>((resolve) => {
      this.#imageWanted.push(resolve);
      if (!this.#position.dirty && !this.#lending.isCommitting) this.#serveImages();
      else this.#home.dirty(true);
    });
    if (image !== undefined) await this.#home.gate.durable(this.#position, this.#position.mark);
    return image;
  }

  /** When nothing is dirty and nobody writes: the WAL need not take room, nor a connection to what is seldom used. */
  truncateWal(): void {
    const { capture, writer } = this.#files;
    if (this.#position.dirty || this.#home.lock.held || writer === undefined) return;
    capture?.checkpoint(writer, "TRUNCATE");
    this.#files.closeSecondary();
  }

  #cutDone(cut: Cut | undefined): void {
    this.#lag.cut();
    const now = this.#home.clock.monotonicMs();
    if (cut === undefined) this.#position.cut(this.#position.captured, 0, now);
    else {
      this.#files.timestampMs = cut.timestampMs;
      this.#position.cut(cut.position, cut.bytes, now);
    }
  }

  #serveImages(): void {
    if (this.#imageWanted.length === 0) return;
    const image: DatabaseImage = {
      image: this.#files.image(),
      txid: this.#position.captured.txid,
      epoch: this.#home.epoch,
      timestampMs: this.#files.timestampMs,
    };
    for (const resolve of this.#imageWanted) resolve(image);
    this.#imageWanted = [];
  }

  /** Whoever waits for an image gets none. */
  close(): void {
    for (const resolve of this.#imageWanted) resolve(undefined);
    this.#imageWanted = [];
  }
}
