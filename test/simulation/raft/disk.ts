import type { Disk, DiskFile } from "../../../control/raft/log/disk.ts";
import type { Random } from "../random.ts";
import { PagedBytes } from "./paged-bytes.ts";

const SECTOR_BYTES = 512;
const LARGE_BYTES = 1024 * 1024;

export class PowerCut extends Error {
  override readonly name = "PowerCut";
}

interface File {
  content: PagedBytes;
  /** What each change since the last sync took the place of, oldest first: undone, they give what certainly survives a power cut. */
  undo: { position: number; before: Uint8Array; length: number }[];
}

/**
 * A directory with a page cache: what was not synced is lost by a power cut in whole or by sectors, names that were not synced
 * are there or not. The power goes before or after the operation that `cutAt` names.
 */
export class SimulatedDisk implements Disk {
  readonly #random: Random;
  #names = new Map<string, File>();
  #durableNames = new Map<string, File>();
  #operations = 0;
  #cutAt = Number.POSITIVE_INFINITY;
  #dead = false;
  /** Counts restarts: what a process from before had under way never reaches the disk. */
  #life = 0;
  /** Makes every sync fail with this code. */
  failSync: "EIO" | "ENOSPC" | undefined;

  readonly #pause: () => Promise<void>;

  /** `pause` is awaited before each operation. */
  constructor(random: Random, pause: () => Promise<void> = () => Promise.resolve()) {
    this.#random = random;
    this.#pause = pause;
  }

  get operations(): number {
    return this.#operations;
  }

  /** Of all files together. */
  get bytes(): number {
    return [...this.#names.values()].reduce((sum, { content }) => sum + content.length, 0);
  }

  cutAt(operation: number): void {
    this.#cutAt = this.#operations + operation;
  }

  /** The power goes now. */
  cut(): void {
    this.#dead = true;
  }

  /** The disk as it is found when the power is back. */
  restart(): void {
    const survived = new Map<string, File>();
    // A file system keeps its order of directory changes; how far it got is chance.
    const names = this.#random.chance(0.5) ? this.#names : this.#durableNames;
    for (const [name, file] of names) {
      // A large one that is synced is there as it was: nothing is copied.
      if (file.undo.length === 0 && file.content.length > LARGE_BYTES) survived.set(name, file);
      else survived.set(name, fileOf(this.#afterCut(contentOf(file), durableOf(file))));
    }
    this.#names = survived;
    this.#durableNames = new Map(survived);
    this.#dead = false;
    this.#life += 1;
    this.#cutAt = Number.POSITIVE_INFINITY;
  }

  list(): Promise<string[]> {
    return this.#do(() => [...this.#names.keys()]);
  }

  read(name: string): Promise<Uint8Array> {
    return this.#do(() => contentOf(this.#file(name)));
  }

  async *pieces(name: string, bytes: number): AsyncGenerator<Uint8Array, void, void> {
    const file = await this.#do(() => this.#file(name));
    for (let at = 0; at < file.content.length; at += bytes) {
      yield await this.#do(() => file.content.slice(at, at + bytes));
    }
  }

  open(name: string): Promise<DiskFile> {
    return this.#do(() => {
      const file = this.#names.get(name) ?? fileOf(new Uint8Array());
      this.#names.set(name, file);
      return this.#handle(file);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#do(() => {
      this.#names.set(to, this.#file(from));
      this.#names.delete(from);
    });
  }

  remove(name: string): Promise<void> {
    return this.#do(() => {
      this.#names.delete(name);
    });
  }

  syncDirectory(): Promise<void> {
    return this.#do(() => {
      this.#durableNames = new Map(this.#names);
    });
  }

  #handle(file: File): DiskFile {
    const life = this.#life;
    return {
      write: (bytes, position) =>
        this.#do(() => {
          noteChange(file, position, position + bytes.length);
          file.content.write(bytes, position);
        }, life),
      truncate: (length) =>
        this.#do(() => {
          if (length >= file.content.length) return;
          noteChange(file, length, file.content.length);
          file.content.truncate(length);
        }, life),
      sync: () =>
        this.#do(() => {
          if (this.failSync !== undefined)
            throw Object.assign(new Error("simulated"), { code: this.failSync });
          file.undo = [];
        }, life),
      close: () => Promise.resolve(),
    };
  }

  #file(name: string): File {
    const file = this.#names.get(name);
    if (file === undefined) throw Object.assign(new Error(`no file ${name}`), { code: "ENOENT" });
    return file;
  }

  /** The length is anywhere between old and new; each sector that changed is old, new, or (beyond the old end) empty. */
  #afterCut(content: Uint8Array, durable: Uint8Array): Uint8Array {
    if (content.length < durable.length) return this.#random.chance(0.5) ? content.slice() : durable.slice();
    const grown = content.length - durable.length;
    const length = durable.length + (this.#random.chance(0.5) ? grown : this.#random.below(grown + 1));
    const found = new Uint8Array(length);
    found.set(durable.subarray(0, length));
    for (let start = 0; start < length;) {
      const end = Math.min(start - (start % SECTOR_BYTES) + SECTOR_BYTES, length);
      if (this.#random.chance(0.7)) found.set(content.subarray(start, end), start);
      start = end;
    }
    return found;
  }

  async #do<T>(operation: () => T, life = this.#life): Promise<T> {
    if (this.#dead || life !== this.#life) throw new PowerCut("no power");
    this.#operations += 1;
    const cut = this.#operations >= this.#cutAt;
    if (cut) {
      this.#dead = true;
      if (this.#random.chance(0.5)) operation();
      throw new PowerCut("no power");
    }
    await this.#pause();
    if (this.#dead || life !== this.#life) throw new PowerCut("no power");
    return operation();
  }
}

function fileOf(bytes: Uint8Array): File {
  const content = new PagedBytes();
  content.write(bytes, 0);
  return { content, undo: [] };
}

function contentOf({ content }: File): Uint8Array {
  return content.slice(0, content.length);
}

function durableOf(file: File): Uint8Array {
  const longest = Math.max(file.content.length, ...file.undo.map(({ length }) => length));
  const bytes = new Uint8Array(longest);
  bytes.set(contentOf(file));
  let { length } = file.content;
  for (const { position, before, length: earlier } of file.undo.toReversed()) {
    bytes.set(before, position);
    length = earlier;
  }
  return bytes.subarray(0, length);
}

/** What is there before [start, end) changes. */
function noteChange(file: File, start: number, end: number): void {
  const { content } = file;
  file.undo.push({ position: start, before: content.slice(start, end), length: content.length });
}
