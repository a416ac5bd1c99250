import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { ZipFile } from "yazl";
import { AUXILIARY_DB, DATA_DB, type DatabaseName } from "../../../shared/ids.ts";
import { storagePrefix } from "../../../shared/objects/layout.ts";
import { listAll } from "../../../shared/objects/read.ts";
import { snapshotDatabase } from "../../sqlite/snapshot.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { backupSignal, storeBackup } from "./stored.ts";

/**
 * Makes a zip of the tenant as a PocketBase data directory: databases as of now, then the files that are in the store. Nobody
 * waits for it, writers neither; memory stays flat. It is in the store only when everything in it is durable elsewhere too.
 */
export async function createBackup(tenant: Tenant, name: string): Promise<void> {
  const signal = backupSignal(tenant);
  const directory = await mkdtemp(join(tmpdir(), "manybase-backup-"));
  try {
    const zip = new ZipFile();
    const path = join(directory, "backup.zip");
    const written = pipeline(zip.outputStream, createWriteStream(path), { signal });
    // Told by the awaits below as well; this one must not be left unheard.
    written.catch(() => undefined);
    for (const database of [DATA_DB, AUXILIARY_DB]) {
      const copy = await snapshot(tenant, database, directory, signal);
      if (copy !== undefined) zip.addFile(copy, database);
    }
    await addFiles(tenant, zip, signal);
    zip.end();
    await written;
    await storeBackup(tenant, name, path, signal);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** @returns undefined for a database that has nothing in it yet */
async function snapshot(
  tenant: Tenant,
  name: DatabaseName,
  directory: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const database = tenant.database(name);
  const [from, tables] = database.read(tenant.observe(), (db) => [
    String(db.values("SELECT file FROM pragma_database_list WHERE name = 'main'")[0]?.[0] ?? ""),
    db.values("SELECT 1 FROM sqlite_schema LIMIT 1").length,
  ]);
  if (tables === 0) return undefined;
  const copy = join(directory, name);
  await snapshotDatabase(from, copy, signal);
  // Whatever it holds was committed by now; wait until all of that is durable.
  const seen = tenant.observe();
  database.read(seen, () => undefined);
  await seen.settled(signal);
  return copy;
}

/** One after another: each stream is read while the zip takes it. A file that is deleted meanwhile is not in the backup. */
async function addFiles(tenant: Tenant, zip: ZipFile, signal: AbortSignal): Promise<void> {
  const prefix = storagePrefix(tenant.id);
  for await (const { key, modifiedMs } of listAll(tenant.objects, { prefix, signal })) {
    const found = await tenant.objects.get(key, { signal });
    if (found === undefined) continue;
    const stream = Readable.fromWeb(found.stream as never, { signal });
    // Most uploads are compressed already.
    zip.addReadStream(stream, `storage/${key.slice(prefix.length)}`, {
      compress: false,
      mtime: new Date(modifiedMs),
    });
    await finished(stream, { signal });
  }
}
