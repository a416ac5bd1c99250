import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pack } from "tar-stream";
import { type ImportSource, storedNames } from "./litestream/read-source.ts";

/** A tar of a PocketBase data directory as a stream, databases first; backups and what PocketBase makes anew are left out. */
export function packPbData(source: Pick<ImportSource, "databases" | "storage">): ReadableStream<Uint8Array> {
  const archive = pack();
  // Told to whoever reads the stream; without a listener the process would end when nobody reads yet.
  archive.on("error", () => undefined);
  void fill(archive, source).catch((error: unknown) => archive.destroy(error as Error));
  return Readable.toWeb(Readable.from(archive)) as unknown as ReadableStream<Uint8Array>;
}

async function fill(
  archive: ReturnType<typeof pack>,
  { databases, storage }: Pick<ImportSource, "databases" | "storage">,
): Promise<void> {
  const put = async (name: string, path: string): Promise<void> => {
    const { size } = await stat(path);
    // Only `size` bytes: a file that grows meanwhile would break the archive.
    const source = size === 0 ? Readable.from([]) : createReadStream(path, { end: size - 1 });
    await pipeline(source, archive.entry({ name, size }));
  };
  for (const { name, path } of databases) await put(name, path);
  if (storage !== undefined) {
    for await (const name of storedNames(storage)) await put(`storage/${name}`, join(storage, name));
  }
  archive.finalize();
}
