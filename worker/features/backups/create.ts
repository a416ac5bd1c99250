import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { ZipFile } from "yazl";
import { AUXILIARY_DB, DATA_DB } from "../../../shared/ids.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { namedUploads } from "../../model/records/named-uploads.ts";
import { ATTRIBUTES, FileAttributes } from "../../pb/file-attributes.ts";
import { unpackLogs } from "../../pb/logs/packed.ts";
import { copyDatabase, storedObjects } from "../../tenant/copy.ts";
import { backupSignal, storeBackup } from "./stored.ts";

/**
 * Makes a zip of the tenant as a PocketBase data directory: databases as of now, then the files that are in the store. Nobody
 * waits for it, writers neither; memory stays flat. It is in the store only when everything in it is durable elsewhere too.
 */
export async function createBackup(tenant: Tenant, name: string): Promise<void> {
  const signal = backupSignal(tenant);
  const directory = await mkdtemp(join(tenant.temporary, "backup-"));
  try {
    const zip = new ZipFile();
    const path = join(directory, "backup.zip");
    const written = pipeline(zip.outputStream, createWriteStream(path), { signal });
    // Told by the awaits below as well; this one must not be left unheard.
    written.catch(() => undefined);
    const seen = tenant.observe();
    await unpackLogs(tenant);
    for (const database of [DATA_DB, AUXILIARY_DB]) {
      const copy = await copyDatabase(tenant, seen, database, directory, { signal });
      if (copy !== undefined) zip.addFile(copy, database);
    }
    await seen.settled(signal);
    await addFiles(tenant, zip, signal);
    zip.end();
    await written;
    await storeBackup(tenant, name, path, signal);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** One after another: each stream is read while the zip takes it. */
async function addFiles(tenant: Tenant, zip: ZipFile, signal: AbortSignal): Promise<void> {
  const named = (keys: readonly string[]): ReadonlySet<string> => namedUploads(tenant, keys);
  for await (const object of storedObjects(tenant, { signal, thumbs: true, named })) {
    const attributes = new FileAttributes();
    const stream = Readable.from(attributes.watch(Readable.fromWeb(object.stream as never, { signal })));
    // Most uploads are compressed already.
    const options = { compress: false, mtime: new Date(object.modifiedMs) };
    zip.addReadStream(stream, `storage/${object.name}`, options);
    await finished(stream, { signal });
    zip.addBuffer(Buffer.from(await attributes.json()), `storage/${object.name}${ATTRIBUTES}`, options);
  }
}
