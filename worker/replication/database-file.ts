import { closeSync, ftruncateSync, openSync, renameSync, writeSync } from "node:fs";
import { SystemError } from "../../shared/errors.ts";
import { type LtxFile, lockPage } from "../../shared/ltx/ltx.ts";
import { asDiskFull } from "./disk-full.ts";

/**
 * Builds a database file from LTX files in TXID order, beside its final name: a crash leaves nothing that looks like a database.
 * The file is not open in SQLite, so descriptors of ours are harmless.
 */
export class DatabaseFile {
  readonly #path: string;
  readonly #fd: number;
  #pageSize = 0;
  #commit = 0;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(building(path), "w");
  }

  get pageSize(): number {
    return this.#pageSize;
  }

  /** Pages. */
  get commit(): number {
    return this.#commit;
  }

  /** @throws SystemError `object_corrupt` when the page size changes without every page being there */
  apply({ header, pages }: LtxFile): void {
    if (header.pageSize !== this.#pageSize) {
      const lock = lockPage(header.pageSize);
      const whole = header.commit - (header.commit >= lock ? 1 : 0);
      if (pages.size !== whole) {
        throw new SystemError(
          "object_corrupt",
          `Cannot apply TXID ${header.minTxid}: its page size differs`,
          {
            details: { pageSize: header.pageSize, before: this.#pageSize },
          },
        );
      }
      ftruncateSync(this.#fd, 0);
      this.#pageSize = header.pageSize;
    }
    for (const [pgno, data] of pages) writeAll(this.#fd, data, (pgno - 1) * header.pageSize);
    // Cut at every step: what a shrunk database lost must not come back when it grows again.
    ftruncateSync(this.#fd, header.commit * header.pageSize);
    this.#commit = header.commit;
  }

  /** Puts the file in its place. */
  finish(): void {
    closeSync(this.#fd);
    renameSync(building(this.#path), this.#path);
  }

  discard(): void {
    closeSync(this.#fd);
  }
}

const building = (path: string): string => `${path}.restoring`;

function writeAll(fd: number, data: Uint8Array, at: number): void {
  for (let done = 0; done < data.length;) {
    try {
      done += writeSync(fd, data, done, data.length - done, at + done);
    } catch (cause) {
      throw asDiskFull(cause, "restore a tenant");
    }
  }
}
