import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { LRUCache } from "lru-cache";
import { limits } from "../../../shared/limits.ts";
import { type Disk, errorCode, unless } from "./disk.ts";

interface OpenDirectory {
  handle: FileHandle;
  identity: string;
}

/** Bun ends the process when a handle is garbage-collected: a store that nobody closed must not do that. */
const held = new Set<FileHandle>();

/**
 * Makes directories and makes their entries durable. A directory is taken as durable only while it is the very
 * one (inode and birth time) that this process synced up to the base: another process may have removed it empty
 * and a third made it anew.
 */
export class Directories {
  readonly #disk: Disk;
  readonly #base: string;
  readonly #known = new LRUCache<string, string>({ max: limits.storeDirectoriesKnownMax });
  readonly #open = new LRUCache<string, OpenDirectory>({
    max: limits.storeDirectoriesOpenMax,
    dispose: ({ handle }) => {
      held.delete(handle);
      void handle.close().catch(() => undefined);
    },
  });
  readonly #running = new Map<string, Promise<void>>();
  readonly #waiting = new Map<string, Promise<void>>();

  /** `base` must exist and be durable; it is never made here, so that an unmounted disk stays an error. */
  constructor(disk: Disk, base: string) {
    this.#disk = disk;
    this.#base = base;
  }

  async make(path: string): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        await this.#disk.mkdir(path);
        return;
      } catch (error) {
        const code = errorCode(error);
        if (code === "EEXIST") return;
        if (code !== "ENOENT" || path === this.#base || tries === limits.storeRaceRetriesMax) throw error;
        await this.make(dirname(path));
      }
    }
  }

  /**
   * When it returns, all entries that were in the directory at the call are on disk, and so is the directory
   * itself. Calls that wait for one directory share a sync.
   */
  sync(path: string): Promise<void> {
    const running = this.#running.get(path);
    if (running === undefined) return this.#start(path);
    let waiting = this.#waiting.get(path);
    if (waiting === undefined) {
      const next = (): Promise<void> => {
        this.#waiting.delete(path);
        return this.#start(path);
      };
      waiting = running.then(next, next);
      this.#waiting.set(path, waiting);
    }
    return waiting;
  }

  /** Removes the directory and its parents as far as they are empty. */
  async prune(path: string): Promise<void> {
    for (let at = path; at !== this.#base; at = dirname(at)) {
      const gone = ["ENOTEMPTY", "EEXIST", "ENOENT", "EBUSY"];
      const removed = await unless(
        gone,
        this.#disk.rmdir(at).then(() => true),
      );
      if (removed !== true) return;
      this.#known.delete(at);
      this.#open.delete(at);
    }
  }

  close(): void {
    this.#open.clear();
  }

  #start(path: string): Promise<void> {
    const run = this.#syncUp(path).finally(() => this.#running.delete(path));
    this.#running.set(path, run);
    return run;
  }

  async #syncUp(path: string): Promise<void> {
    const synced: [string, string][] = [];
    for (let at = path; ; at = dirname(at)) {
      const identity = await this.#syncOne(at);
      if (at === this.#base || this.#known.get(at) === identity) break;
      synced.push([at, identity]);
    }
    for (const [at, identity] of synced) this.#known.set(at, identity);
  }

  async #syncOne(path: string): Promise<string> {
    const open = this.#open.get(path);
    if (open !== undefined) {
      const [identity] = await Promise.all([this.#identity(path), open.handle.sync()]);
      if (identity === open.identity) return identity;
      this.#open.delete(path);
    }
    const handle = await this.#disk.open(path, "r");
    try {
      const identity = identityOf(await handle.stat({ bigint: true }));
      await handle.sync();
      held.add(handle);
      this.#open.set(path, { handle, identity });
      return identity;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async #identity(path: string): Promise<string> {
    return identityOf(await this.#disk.stat(path, { bigint: true }));
  }
}

function identityOf({ ino, birthtimeNs }: { ino: bigint; birthtimeNs: bigint }): string {
  return `${ino}.${birthtimeNs}`;
}
