import { closeSync, fstatSync, openSync } from "node:fs";
import { LRUCache } from "lru-cache";
import { limits } from "../../shared/limits.ts";

/** Those that were read last stay open: a database that is written to all the time is not opened at each cut. */
const open = new LRUCache<WalFile, number>({
  max: limits.walFilesOpenMax,
  dispose: (descriptor) => closeSync(descriptor),
});

/**
 * A `-wal` file by a descriptor of our own, which is opened when it is needed: of thousands of databases few are written to at a
 * time. SQLite keeps no locks on this file, so it may be closed. It is the same file while SQLite has it open: its inode is not
 * given out again before SQLite has closed it, so another file in its place is noticed.
 */
export class WalFile {
  readonly path: string;
  readonly #inode: bigint;

  /** @throws what the system says when there is none */
  constructor(path: string) {
    this.path = path;
    const descriptor = openSync(path, "r");
    this.#inode = inodeOf(descriptor);
    open.set(this, descriptor);
  }

  /** Good for this turn. Undefined when the file is not there any more. */
  get descriptor(): number | undefined {
    return open.get(this) ?? this.#reopen();
  }

  close(): void {
    open.delete(this);
  }

  #reopen(): number | undefined {
    let descriptor: number;
    try {
      descriptor = openSync(this.path, "r");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    if (inodeOf(descriptor) !== this.#inode) {
      closeSync(descriptor);
      return undefined;
    }
    open.set(this, descriptor);
    return descriptor;
  }
}

const inodeOf = (descriptor: number): bigint => fstatSync(descriptor, { bigint: true }).ino;
