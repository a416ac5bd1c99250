import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Entry, type ZipFile, openPromise } from "yauzl";
import { SystemError, UserError } from "../../../shared/errors.ts";
import { AUXILIARY_DB, DATA_DB, type DatabaseName, parseDatabaseName } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { backupKey, storageKey } from "../../../shared/objects/layout.ts";
import { columnsOfFile } from "../../sqlite/snapshot.ts";
import type { Observation, Tenant } from "../../tenant/contract.ts";
import { backupSignal } from "./stored.ts";

const DATABASES: ReadonlySet<string> = new Set([DATA_DB, AUXILIARY_DB]);
const FILE = /^storage\/([A-Za-z0-9_]{1,255})\/([^/]{1,255})\/((?:thumbs_[^/]{1,255}\/)?[^/]{1,255})$/;

/**
 * Puts a backup in the place of the tenant's databases, as new TXIDs: the state before can be had back. Its files are in the
 * store before the databases that name them; files that only the replaced databases name stay, for the way back.
 *
 * @throws UserError `invalid_import` for a zip that is not a backup, `not_found`
 */
export async function restoreBackup(tenant: Tenant, seen: Observation, name: string): Promise<void> {
  const signal = backupSignal(tenant);
  const directory = await mkdtemp(join(tenant.temporary, "restore-"));
  try {
    const path = join(directory, "backup.zip");
    await download(tenant, name, path, signal);
    const databases = await unpack(tenant, path, directory, signal);
    const data = databases.get(DATA_DB);
    // Looked at before anything is replaced: these are what PocketBase data of 0.23 and later have.
    if (data === undefined || !columnsOfFile(data, "_collections").includes("fields")) {
      throw new UserError(
        "invalid_import",
        "Cannot restore the backup: its data.db is missing or not PocketBase's",
      );
    }
    await tenant.replaceDatabases(seen, databases);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function download(tenant: Tenant, name: string, path: string, signal: AbortSignal): Promise<void> {
  const found = await tenant.objects.get(backupKey(tenant.id, name), { signal });
  if (found === undefined) throw new UserError("not_found", `Cannot restore backup ${name}: there is none`);
  await pipeline(Readable.fromWeb(found.stream as never), createWriteStream(path), { signal });
}

async function unpack(
  tenant: Tenant,
  path: string,
  directory: string,
  signal: AbortSignal,
): Promise<Map<DatabaseName, string>> {
  const databases = new Map<DatabaseName, string>();
  const zip = await openZip(path);
  let bytes = 0;
  let entries = 0;
  try {
    for await (const entry of zip.eachEntry()) {
      signal.throwIfAborted();
      entries += 1;
      bytes += entry.uncompressedSize;
      if (bytes > (tenant.quota?.bytesMax ?? Infinity)) {
        throw new UserError("too_large", "Cannot restore the backup: it is larger than the storage quota");
      }
      if (bytes > limits.backupBytesMax || entries > limits.backupEntriesMax) {
        throw new UserError("too_large", "Cannot restore the backup: it is larger than one may be");
      }
      const file = entry.fileName.replace(/^\.\//, "");
      if (DATABASES.has(file)) {
        const target = join(directory, file);
        await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(target), { signal });
        databases.set(parseDatabaseName(file), target);
      } else {
        await storeFile(tenant, zip, entry, file, signal);
      }
    }
  } catch (cause) {
    if (cause instanceof UserError || cause instanceof SystemError || signal.aborted) throw cause;
    throw notAZip(cause);
  } finally {
    zip.close();
  }
  return databases;
}

/** What is not a tenant's file (descriptions beside files, lost+found, migrations' types) is left where it is. */
async function storeFile(
  tenant: Tenant,
  zip: ZipFile,
  entry: Entry,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const [, collectionId, recordId, name] = FILE.exec(file) ?? [];
  if (collectionId === undefined || recordId === undefined || name === undefined) return;
  if (name.endsWith(".attrs") || file.split("/").some((part) => part === "." || part === "..")) return;
  const stream = Readable.toWeb(
    await zip.openReadStreamPromise(entry),
  ) as unknown as ReadableStream<Uint8Array>;
  const body = { stream, length: entry.uncompressedSize };
  await tenant.objects.put(storageKey(tenant.id, collectionId, recordId, name), body, { signal });
}

async function openZip(path: string): Promise<ZipFile> {
  try {
    return await openPromise(path, { autoClose: false });
  } catch (cause) {
    throw notAZip(cause);
  }
}

function notAZip(cause: unknown): UserError {
  return new UserError("invalid_import", "Cannot restore the backup: it is not a whole zip archive", {
    cause,
  });
}
