import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pack } from "tar-stream";
import { UserError } from "../../shared/errors.ts";

/** Top-level names of a PocketBase data directory that belong to a tenant; backups and temporary files stay. */
const TOP = new Set(["data.db", "data.db-wal", "auxiliary.db", "auxiliary.db-wal", "storage"]);

/**
 * A tar of a PocketBase data directory as a stream, databases first.
 *
 * @throws UserError `invalid_directory` when it is not one
 */
export async function packPbData(directory: string): Promise<ReadableStream<Uint8Array>> {
  const isFile = await stat(join(directory, "data.db")).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isFile) {
    throw new UserError("invalid_directory", `Cannot import ${directory}: there is no data.db in it`, {
      hint: "Give the path of a PocketBase data directory (pb_data).",
    });
  }
  const archive = pack();
  // Told to whoever reads the stream; without a listener the process would end when nobody reads yet.
  archive.on("error", () => undefined);
  void fill(archive, directory).catch((error: unknown) => archive.destroy(error as Error));
  return Readable.toWeb(Readable.from(archive)) as unknown as ReadableStream<Uint8Array>;
}

async function fill(archive: ReturnType<typeof pack>, directory: string): Promise<void> {
  for await (const name of files(directory)) {
    const path = join(directory, name);
    const { size } = await stat(path);
    // Only `size` bytes: a file that grows meanwhile would break the archive.
    const source = size === 0 ? Readable.from([]) : createReadStream(path, { end: size - 1 });
    await pipeline(source, archive.entry({ name, size }));
  }
  archive.finalize();
}

async function* files(directory: string): AsyncGenerator<string> {
  const top = (await readdir(directory)).filter((name) => TOP.has(name)).toSorted();
  for (const name of top.filter((name) => name !== "storage")) yield name;
  if (!top.includes("storage")) return;
  for (const entry of await readdir(join(directory, "storage"), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.endsWith(".attrs")) continue;
    yield join(entry.parentPath, entry.name).slice(directory.replace(/\/+$/, "").length + 1);
  }
}
