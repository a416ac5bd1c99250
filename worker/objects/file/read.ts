import type { FileHandle } from "node:fs/promises";
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { StorageClass } from "../../../shared/objects/contract.ts";
import { type Disk, diskError } from "./disk.ts";
import { TRAILER_BYTES, readTrailer } from "./trailer.ts";

export interface OpenObject {
  handle: FileHandle;
  size: number;
  modifiedMs: number;
  storageClass: StorageClass;
  /** The body, when it is small enough to come with the trailer in one read. */
  body: Uint8Array | undefined;
}

/** The caller closes the handle. @throws SystemError `object_corrupt`, and what the disk says. */
export async function openObject(
  disk: Disk,
  key: string,
  path: string,
  flags: "r" | "r+" = "r",
): Promise<OpenObject> {
  const handle = await disk.open(path, flags);
  try {
    const stat = await handle.stat();
    const size = Math.max(0, stat.size - TRAILER_BYTES);
    const small = size <= limits.storeReadChunkBytes;
    const from = small ? 0 : size;
    const bytes = await readExactly(handle, key, from, Math.min(stat.size, size + TRAILER_BYTES) - from);
    const storageClass = readTrailer(
      key,
      stat.size,
      bytes.subarray(Math.max(0, bytes.length - TRAILER_BYTES)),
    );
    const body = small ? bytes.subarray(0, size) : undefined;
    return { handle, size, modifiedMs: Math.floor(stat.mtimeMs), storageClass, body };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

export async function readExactly(
  handle: FileHandle,
  key: string,
  position: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const { bytesRead } = await handle.read(bytes, at, length - at, position + at);
    if (bytesRead === 0) throw new SystemError("object_corrupt", `Cannot read ${key}: its file was cut`);
    at += bytesRead;
  }
  return bytes;
}

/**
 * The body in pieces. Closes the handle at the end, on a failure, when the reader stops, and when nobody reads: a
 * forgotten stream must neither keep the handle nor leave it to the garbage collector, which ends the process.
 */
export function bodyChunks(
  key: string,
  object: OpenObject,
  idleMs: number = limits.storeReadIdleMs,
): AsyncIterator<Uint8Array, undefined> {
  let at = 0;
  let closed = false;
  let idle: ReturnType<typeof setTimeout> | undefined;
  const close = async (): Promise<void> => {
    clearTimeout(idle);
    if (closed) return;
    closed = true;
    await object.handle.close();
  };
  const rest = (): void => {
    idle = setTimeout(() => void close(), idleMs);
    idle.unref();
  };
  rest();
  return {
    async next() {
      clearTimeout(idle);
      try {
        if (closed)
          throw new SystemError("store_unavailable", `Cannot read ${key}: not read for ${idleMs} ms`);
        const length = Math.min(limits.storeReadChunkBytes, object.size - at);
        if (length === 0) {
          await close();
          return { done: true, value: undefined };
        }
        const value = await readExactly(object.handle, key, at, length);
        at += length;
        rest();
        return { done: false, value };
      } catch (error) {
        await close();
        throw diskError(`read ${key}`, error);
      }
    },
    async return() {
      await close();
      return { done: true, value: undefined };
    },
  };
}

/** The part of an object of `size` bytes that a range asks for. */
export function clampRange(
  size: number,
  range: { offset: number; length: number } | { suffix: number },
): { offset: number; length: number } {
  if ("suffix" in range) {
    const length = Math.min(size, range.suffix);
    return { offset: size - length, length };
  }
  const offset = Math.min(size, range.offset);
  return { offset, length: Math.min(size - offset, range.length) };
}
