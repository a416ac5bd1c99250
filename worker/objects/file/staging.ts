import type { FileHandle } from "node:fs/promises";
import { constants } from "node:fs";
import { join } from "node:path";
import type { ObjectBody, StorageClass } from "../../../shared/objects/contract.ts";
import type { Deadline } from "../deadline.ts";
import { exactChunks } from "../stream.ts";
import type { Disk } from "./disk.ts";
import { openObject } from "./read.ts";
import { CLASS_OFFSET, classByte, trailer } from "./trailer.ts";

/** Whole, synced object files under names of their own, before they become visible. */
export class Staging {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #nonce: string;
  #count = 0;

  /** `nonce` keeps apart the processes that share the directory. */
  constructor(disk: Disk, directory: string, nonce: string) {
    this.#disk = disk;
    this.#directory = directory;
    this.#nonce = nonce;
  }

  /** Returns the file's path; the caller publishes and then discards it. */
  async write(
    key: string,
    body: ObjectBody,
    storageClass: StorageClass | undefined,
    deadline: Deadline,
  ): Promise<string> {
    const path = this.#name();
    const handle = await this.#disk.open(path, "wx");
    return this.#finish(path, handle, async () => {
      const end = trailer(body.length, storageClass);
      if (!(body instanceof Uint8Array)) {
        let at = 0;
        for await (const chunk of exactChunks(key, body, deadline.signal)) {
          at = await writeAll(handle, chunk, at);
          deadline.progress();
        }
        await writeAll(handle, end, at);
      } else {
        await writeBoth(handle, body, end);
      }
    });
  }

  /** A copy of an object's file, by reference where the file system can. */
  async copy(key: string, from: string, storageClass: StorageClass | undefined): Promise<string> {
    const path = this.#name();
    await this.#disk.copyFile(from, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    const copied = await openObject(this.#disk, key, path, "r+");
    return this.#finish(path, copied.handle, async () => {
      await copied.handle.write(classByte(storageClass), 0, 1, copied.size + CLASS_OFFSET);
    });
  }

  /** Never fails: what stays behind is swept at a later start. */
  async discard(path: string): Promise<void> {
    await this.#disk.unlink(path).catch(() => undefined);
  }

  #name(): string {
    return join(this.#directory, `${this.#nonce}-${this.#count++}`);
  }

  async #finish(path: string, handle: FileHandle, fill: () => Promise<void>): Promise<string> {
    try {
      try {
        await fill();
        await handle.sync();
      } finally {
        // What was synced cannot fail any more, so nobody waits for the close.
        void handle.close().catch(() => undefined);
      }
      return path;
    } catch (error) {
      await this.discard(path);
      throw error;
    }
  }
}

/** From the start of the file; in one call, unless the disk takes less. */
async function writeBoth(handle: FileHandle, body: Uint8Array, end: Uint8Array): Promise<void> {
  const { bytesWritten } = await handle.writev([body, end], 0);
  const ofBody = Math.min(bytesWritten, body.length);
  const ofEnd = bytesWritten - ofBody;
  await writeAll(handle, body.subarray(ofBody), ofBody);
  await writeAll(handle, end.subarray(ofEnd), body.length + ofEnd);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  for (let at = 0; at < bytes.length;) {
    at += (await handle.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
  }
  return position + bytes.length;
}
