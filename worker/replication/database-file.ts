import { closeSync, ftruncateSync, openSync, renameSync, writeSync } from "node:fs";
import { SystemError } from "../../shared/errors.ts";
import { type LtxFile, type LtxHeader, lockPage } from "../../shared/ltx/ltx.ts";
import { asDiskFull } from "./disk-full.ts";

const BUFFER_BYTES = 256 * 1024;
/** Of the file that was made last: clearing a new one takes as long as a good part of a small database. */
let spare: Uint8Array | undefined;

/**
 * Builds a database file from LTX files in TXID order, beside its final name: a crash leaves nothing that looks like a database.
 * The file is not open in SQLite, so descriptors of ours are harmless. Per file `begin`, its pages, `end`.
 */
export class DatabaseFile {
  readonly #path: string;
  readonly #fd: number;
  readonly #buffer = spare ?? new Uint8Array(BUFFER_BYTES);
  /** Neighbouring pages that are not written yet, and where they go. */
  #used = 0;
  #at = 0;
  #pageSize = 0;
  /** The file under way must have every page. */
  #mustBeWhole = false;
  #pages = 0;

  constructor(path: string) {
    this.#path = path;
    spare = undefined;
    try {
      this.#fd = openSync(building(path), "w");
    } catch (cause) {
      throw asDiskFull(cause, "restore a tenant");
    }
  }

  /** A file that is in memory. */
  apply({ header, pages }: LtxFile): void {
    this.begin(header);
    for (const [pgno, data] of pages) this.page(pgno, data);
    this.end(header);
  }

  begin({ pageSize }: LtxHeader): void {
    this.#mustBeWhole = pageSize !== this.#pageSize;
    this.#pages = 0;
    if (!this.#mustBeWhole) return;
    if (this.#pageSize !== 0) ftruncateSync(this.#fd, 0);
    this.#pageSize = pageSize;
  }

  page(pgno: number, data: Uint8Array): void {
    const at = (pgno - 1) * this.#pageSize;
    if (at !== this.#at + this.#used || this.#used + data.length > this.#buffer.length) {
      this.#flush();
      this.#at = at;
    }
    this.#buffer.set(data, this.#used);
    this.#used += data.length;
    this.#pages++;
  }

  /** @throws SystemError `object_corrupt` when the page size changed without every page being there */
  end({ pageSize, commit, minTxid }: LtxHeader): void {
    const whole = commit - (commit >= lockPage(pageSize) ? 1 : 0);
    if (this.#mustBeWhole && this.#pages !== whole) {
      throw new SystemError("object_corrupt", `Cannot apply TXID ${minTxid}: its page size differs`, {
        details: { pageSize, pages: this.#pages, commit },
      });
    }
    this.#flush();
    // Cut at every step: what a shrunk database lost must not come back when it grows again.
    ftruncateSync(this.#fd, commit * pageSize);
  }

  /** Puts the file in its place. */
  finish(): void {
    closeSync(this.#fd);
    spare = this.#buffer;
    finishDatabaseFile(this.#path);
  }

  /** Without `finish` it is nothing. */
  discard(): void {
    closeSync(this.#fd);
  }

  #flush(): void {
    writeAll(this.#fd, this.#buffer.subarray(0, this.#used), this.#at);
    this.#at += this.#used;
    this.#used = 0;
  }
}

/** Puts the file that a `DatabaseFile` built for `path`, here or in another thread, in its place. */
export function finishDatabaseFile(path: string): void {
  renameSync(building(path), path);
}

const building = (path: string): string => `${path}.restoring`;

/** @throws SystemError `disk_full` */
export function writeAll(fd: number, data: Uint8Array, at: number): void {
  for (let done = 0; done < data.length;) {
    try {
      done += writeSync(fd, data, done, data.length - done, at + done);
    } catch (cause) {
      throw asDiskFull(cause, "write a file of a tenant");
    }
  }
}
