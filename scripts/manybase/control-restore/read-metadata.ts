import { SystemError } from "../../../shared/errors.ts";
import { type TenantId, parseTenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { controlSnapshotsPrefix, metadataPrefix } from "../../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../../shared/objects/read.ts";
import { decodeMetadata } from "../../../control/disaster/metadata.ts";
import type { FoundTenant } from "../../../control/disaster/rebuild.ts";
import { type ControlSnapshot, decodeSnapshot } from "../../../control/disaster/snapshot.ts";
import { parallel } from "../../../worker/replication/parallel.ts";

const TENANTS = "tenants/";
const NAME = /^([0-9a-f]{8})-([0-9a-f]{16})\.json$/;

/** Every tenant that has a folder, with its newest metadata record. @returns also what could not be read, one error each */
export async function readMetadata(
  store: ObjectStore,
  signal: AbortSignal,
): Promise<{ tenants: Map<TenantId, FoundTenant>; problems: SystemError[] }> {
  const ids: TenantId[] = [];
  const problems: SystemError[] = [];
  let startAfter: string | undefined;
  do {
    const page = await store.list({
      prefix: TENANTS,
      delimiter: "/",
      signal,
      ...(startAfter === undefined ? {} : { startAfter }),
    });
    for (const prefix of page.prefixes) ids.push(parseTenantId(prefix.slice(TENANTS.length, -1)));
    startAfter = page.next;
  } while (startAfter !== undefined);
  const tenants = new Map<TenantId, FoundTenant>();
  await parallel(ids, limits.restoreTenantsParallel, async (id) => {
    const prefix = metadataPrefix(id);
    const keys: string[] = [];
    for await (const { key } of listAll(store, { prefix, signal })) {
      if (NAME.test(key.slice(prefix.length))) keys.push(key);
    }
    const newest = keys.at(-1);
    const [, block, revision] = NAME.exec(newest?.slice(prefix.length) ?? "") ?? [];
    if (newest === undefined || block === undefined || revision === undefined) {
      tenants.set(id, { keys });
      return;
    }
    try {
      const bytes = await getBytes(store, newest, { signal });
      if (bytes === undefined)
        throw new SystemError("store_unavailable", `Cannot read ${newest}: it went away`);
      const metadata = decodeMetadata(newest, id, bytes);
      const written = { block: Number.parseInt(block, 16), revision: Number.parseInt(revision, 16) };
      tenants.set(id, { metadata, written, keys });
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      problems.push(error);
    }
  });
  return { tenants, problems };
}

/**
 * The newest readable snapshot, or the one that is asked for (`none`: none at all). Damaged ones that were passed over are told.
 * @throws SystemError for a chosen one that cannot be read, and for a newest one of a later version
 */
export async function readSnapshot(
  store: ObjectStore,
  from: string | undefined,
  signal: AbortSignal,
): Promise<{ snapshot?: ControlSnapshot; key?: string; skipped: string[] }> {
  if (from === "none") return { skipped: [] };
  const keys = from === undefined ? [] : [from];
  if (from === undefined) {
    for await (const { key } of listAll(store, { prefix: controlSnapshotsPrefix, signal })) keys.push(key);
  }
  const skipped: string[] = [];
  for (const key of keys.toReversed()) {
    const bytes = await getBytes(store, key, { signal });
    if (bytes === undefined) {
      throw new SystemError("object_corrupt", `Cannot read ${key}: there is no such snapshot`, {
        hint: `Snapshots are below ${controlSnapshotsPrefix}.`,
      });
    }
    try {
      return { snapshot: await decodeSnapshot(key, bytes), key, skipped };
    } catch (error) {
      const passable = error instanceof SystemError && error.code === "object_corrupt" && from === undefined;
      if (!passable) throw error;
      skipped.push(error.message);
    }
  }
  return { skipped };
}
