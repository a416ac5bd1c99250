import { limits } from "../../../shared/limits.ts";
import { unless } from "./disk.ts";
import { objectPath } from "./names.ts";
import type { Writing } from "./publish.ts";

/** Durable when it returns; one directory sync for all keys of a directory, and empty directories go. */
export async function removeObjects(
  writing: Writing,
  keys: readonly string[],
  signal: AbortSignal,
  progress: () => void,
): Promise<void> {
  const { disk, directories } = writing;
  const touched = new Set<string>();
  await inBatches(keys, async (key) => {
    const target = objectPath(writing.base, key);
    const removed = await unless(
      ["ENOENT"],
      disk.unlink(target.path).then(() => true),
    );
    if (removed === true) touched.add(target.directory);
  });
  await inBatches([...touched], async (directory) => {
    await unless(["ENOENT"], directories.sync(directory));
    await directories.prune(directory);
  });

  async function inBatches(items: readonly string[], call: (item: string) => Promise<void>): Promise<void> {
    for (let at = 0; at < items.length; at += limits.storeParallelFileCalls) {
      signal.throwIfAborted();
      await Promise.all(items.slice(at, at + limits.storeParallelFileCalls).map(call));
      progress();
    }
  }
}
