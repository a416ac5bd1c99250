import { constants } from "node:fs";
import { open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Disk, DiskFile } from "../log/disk.ts";

/** A directory of the real file system, which must exist. */
export function nodeDisk(directory: string): Disk {
  return {
    list: () => readdir(directory),
    read: (name) => readFile(join(directory, name)),
    pieces: (name, bytes) => piecesOf(join(directory, name), bytes),
    open: (name) => openFile(join(directory, name)),
    rename: (from, to) => rename(join(directory, from), join(directory, to)),
    remove: (name) => rm(join(directory, name), { force: true }),
    async syncDirectory() {
      const handle = await open(directory, "r");
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    },
  };
}

async function* piecesOf(path: string, bytes: number): AsyncGenerator<Uint8Array, void, void> {
  const handle = await open(path, "r");
  try {
    for (;;) {
      const { buffer, bytesRead } = await handle.read(new Uint8Array(bytes), 0, bytes, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/**
 * With O_DSYNC a write ends when it is durable, as if fdatasync followed: one trip through the thread pool instead of two, which is
 * most of what a single write waits for on a busy machine.
 */
async function openFile(path: string): Promise<DiskFile> {
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC, 0o600);
  let truncated = false;
  return {
    async write(bytes, position) {
      let written = 0;
      while (written < bytes.length) {
        const step = await handle.write(bytes, written, bytes.length - written, position + written);
        written += step.bytesWritten;
      }
    },
    async truncate(length) {
      truncated = true;
      await handle.truncate(length);
    },
    async sync() {
      if (!truncated) return;
      await handle.datasync();
      truncated = false;
    },
    close: () => handle.close(),
  };
}
