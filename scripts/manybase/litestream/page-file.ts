import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";

/** A database file that is built page by page; nobody has it open in SQLite. */
export class PageFile {
  readonly #fd: number;

  constructor(path: string) {
    this.#fd = openSync(path, "w");
  }

  /** Everything before is forgotten. */
  image(bytes: Uint8Array): void {
    ftruncateSync(this.#fd, 0);
    this.#write(bytes, 0);
  }

  /** One transaction: `commit` is the size after it, in pages. Cut at each, so that what a shrunk database lost does not come back. */
  apply(pageSize: number, commit: number, pages: ReadonlyMap<number, Uint8Array>): void {
    for (const [pgno, data] of pages) this.#write(data, (pgno - 1) * pageSize);
    ftruncateSync(this.#fd, commit * pageSize);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #write(data: Uint8Array, at: number): void {
    for (let done = 0; done < data.length;) {
      done += writeSync(this.#fd, data, done, data.length - done, at + done);
    }
  }
}
