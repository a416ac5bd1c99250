/** A tenant's content as files, for who takes it elsewhere: backups and exports. */
import { join } from "node:path";
import type { DatabaseName } from "../../shared/ids.ts";
import { storagePrefix } from "../../shared/objects/layout.ts";
import { snapshotDatabase } from "../sqlite/snapshot.ts";
import type { Observation, Tenant } from "./contract.ts";

export interface CopyOptions {
  signal: AbortSignal;
  /** Tables whose names begin so stay here. */
  withoutTables?: string;
}

/**
 * Copies the newest commit of a database into `directory`, compacted. Nobody waits for it, and `seen` has seen what it holds: it
 * may leave when that is settled.
 *
 * @returns the path; undefined for a database that has nothing in it yet
 */
export async function copyDatabase(
  tenant: Tenant,
  seen: Observation,
  name: DatabaseName,
  directory: string,
  { signal, ...options }: CopyOptions,
): Promise<string | undefined> {
  const database = tenant.database(name);
  const tables = database.read(seen, (db) => db.values("SELECT 1 FROM sqlite_schema LIMIT 1"));
  if (tables.length === 0) return undefined;
  const to = join(directory, name);
  const { path: from, left } = database.visit();
  try {
    await snapshotDatabase({ from, to, ...options }, signal);
  } finally {
    left();
  }
  // Whatever it holds was committed by now.
  database.read(seen, () => undefined);
  return to;
}

export interface StoredObject {
  /** Below `storage/`: `<collection>/<record>/<file>`, thumbs as `<collection>/<record>/thumbs_<file>/<thumb>`. */
  name: string;
  size: number;
  modifiedMs: number;
  /** To be read or cancelled before the next one is asked for. */
  stream: ReadableStream<Uint8Array>;
}

export interface StoredOptions {
  signal: AbortSignal;
  thumbs: boolean;
  /** Which of these keys records name: the others were let go, and stay for points in time only. */
  named: (keys: readonly string[]) => ReadonlySet<string>;
}

/** The tenant's uploads that records name, one after another. A file that is gone meanwhile is left out. */
export async function* storedObjects(
  tenant: Tenant,
  { signal, thumbs, named }: StoredOptions,
): AsyncGenerator<StoredObject> {
  const prefix = storagePrefix(tenant.id);
  let startAfter: string | undefined;
  do {
    const page = await tenant.objects.list({
      prefix,
      signal,
      ...(startAfter === undefined ? {} : { startAfter }),
    });
    const kept = named(page.objects.map(({ key }) => key));
    for (const { key, modifiedMs } of page.objects) {
      const name = key.slice(prefix.length);
      if (!kept.has(key) || (!thumbs && THUMB.test(name))) continue;
      const found = await tenant.objects.get(key, { signal });
      if (found !== undefined) yield { name, modifiedMs, ...found };
    }
    startAfter = page.next;
  } while (startAfter !== undefined);
}

const THUMB = /^[^/]+\/[^/]+\/thumbs_[^/]+\//;
