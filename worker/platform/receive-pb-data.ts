import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";
import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

/** One stored file of a PocketBase data directory: `storage/<collection>/<record>/<name>`. */
export interface StoredFile {
  collectionId: string;
  recordId: string;
  /** The file's name; a thumb's is `thumbs_<file>/<size>_<file>`. */
  name: string;
  path: string;
}

export interface ReceivedData {
  /** Paths of the databases that came, by file name. */
  databases: Map<string, string>;
  files: StoredFile[];
  bytes: number;
  notCarried: string[];
}

const DATABASES = new Set(["data.db", "auxiliary.db"]);
/**
 * A database that was copied from a running PocketBase has its newest commits in the `-wal` beside it; beside one that is not in
 * WAL mode a `-journal` takes back what was not committed.
 */
const JOURNALS = new Set(["data.db-wal", "data.db-journal", "auxiliary.db-wal", "auxiliary.db-journal"]);
const STORED = /^storage\/([A-Za-z0-9_]{1,255})\/([^/]{1,255})\/((?:thumbs_[^/]{1,255}\/)?[^/]{1,255})$/;

/**
 * Unpacks a tar of a PocketBase data directory into `directory`, a fresh temporary one. Only known names are written, each as a
 * regular file below it; everything else is reported, nothing is guessed.
 *
 * @throws UserError `invalid_import` for a broken tar or one without data.db, `too_large` beyond the bounds
 */
export async function receivePbData(
  body: ReadableStream<Uint8Array>,
  directory: string,
): Promise<ReceivedData> {
  const received: ReceivedData = { databases: new Map(), files: [], bytes: 0, notCarried: [] };
  const unpack = extract();
  const unpacking = (async () => {
    for await (const entry of unpack) {
      const { name: rawName, type, size } = entry.header;
      const name = rawName.replace(/^\.\//, "");
      received.bytes += size;
      if (received.bytes > limits.importBytesMax || received.files.length > limits.importFilesMax) {
        throw new UserError("too_large", "Cannot import: the directory is larger than one import may be");
      }
      const target = type === "file" ? place(name, directory, received) : undefined;
      if (target === undefined) {
        if (type !== "directory" && !isDerived(name))
          received.notCarried.push(`${name} (${type ?? "unknown kind"})`);
        entry.resume();
      } else {
        await mkdir(dirname(target), { recursive: true });
        await pipeline(entry, createWriteStream(target));
      }
    }
  })();
  try {
    await Promise.all([unpacking, pipeline(Readable.fromWeb(body as never), unpack)]);
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError("invalid_import", "Cannot import: the upload is not a whole tar archive", { cause });
  }
  if (!received.databases.has("data.db")) {
    throw new UserError("invalid_import", "Cannot import: there is no data.db at the top of the directory", {
      hint: "Give PocketBase's pb_data directory itself.",
    });
  }
  return received;
}

/** Where a known entry goes, noting it; undefined for what is not carried. */
function place(name: string, directory: string, received: ReceivedData): string | undefined {
  if (DATABASES.has(name)) {
    const path = join(directory, name);
    received.databases.set(name, path);
    return path;
  }
  if (JOURNALS.has(name)) return join(directory, name);
  const [, collectionId, recordId, file] = STORED.exec(name) ?? [];
  if (collectionId === undefined || recordId === undefined || file === undefined || isDerived(name))
    return undefined;
  if (name.split("/").some((part) => part === "." || part === "..")) return undefined;
  // Numbered on disk, so that no name of the archive becomes a path here.
  const path = join(directory, "files", String(received.files.length));
  received.files.push({ collectionId, recordId, name: file, path });
  return path;
}

/** What is told anew from the rest: `.attrs` describe the file beside them, `-shm` is a cache, lost+found is the disk's. */
function isDerived(name: string): boolean {
  return (
    name.endsWith(".attrs") ||
    name.endsWith(".db-shm") ||
    name.startsWith("lost+found/") ||
    name === "types.d.ts"
  );
}
