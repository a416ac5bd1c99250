/** Files of records in the object store: durable before the record that names them is saved, kept for a while after it let them go. */
import { UserError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { ObjectBody } from "../../../shared/objects/contract.ts";
import { storageKey, storagePrefix } from "../../../shared/objects/layout.ts";
import type { PendingRecord } from "../../model/contract.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { uploadSizes } from "./upload-sizes.ts";

/** @throws UserError `too_large`, before anything is stored, for more than the tenant's quota leaves */
export async function storeUploads(tenant: Tenant, pending: PendingRecord): Promise<void> {
  await checkRoom(tenant, pending);
  const waiting = [...pending.uploads];
  const failed = new AbortController();
  const signal = AbortSignal.any([failed.signal, AbortSignal.timeout(limits.uploadMs)]);
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [name, { file }] = next;
      const body: ObjectBody =
        file.size <= limits.storePartBytes
          ? new Uint8Array(await file.blob.arrayBuffer())
          : { stream: file.blob.stream(), length: file.size };
      await tenant.objects.put(keyOf(tenant, pending.collection.id, pending.id, name), body, {
        contentType: file.mime,
        signal,
      });
    }
  };
  const stop = (error: unknown): never => {
    waiting.length = 0;
    failed.abort(error);
    throw error;
  };
  // What fails is dropped by the caller: by then nothing may be on its way any more.
  const lanes = await Promise.allSettled(
    Array.from({ length: limits.uploadsParallel }, () => lane().catch(stop)),
  );
  for (const done of lanes) if (done.status === "rejected") throw failed.signal.reason;
}

async function checkRoom(tenant: Tenant, { uploads }: PendingRecord): Promise<void> {
  const { quota } = tenant;
  if (quota === undefined || uploads.size === 0) return;
  await tenant.slot(uploadSizes).counted();
  const left = quota.bytesMax - quota.databaseBytes() - quota.uploadBytes;
  let bytes = 0;
  for (const { file } of uploads.values()) bytes += file.size;
  if (bytes <= left) return;
  const has = `${bytes} bytes of files, and ${Math.max(0, left)} are left of the storage quota of ${quota.bytesMax}`;
  throw new UserError("too_large", `Cannot store the record: it has ${has}`);
}

/** After a failed save: nothing names these. */
export async function dropUploads(tenant: Tenant, pending: PendingRecord): Promise<void> {
  const keys = [...pending.uploads.keys()].map((name) =>
    keyOf(tenant, pending.collection.id, pending.id, name),
  );
  if (keys.length > 0)
    await tenant.objects.delete(keys, { signal: AbortSignal.timeout(limits.storeRequestMs) });
}

/** Keys of files of a record. */
export const fileKeys = (
  tenant: Tenant,
  collectionId: string,
  recordId: string,
  names: readonly string[],
): string[] => names.map((name) => keyOf(tenant, collectionId, recordId, name));

/** The keys of all files of a collection, their thumbs too, some at a time. */
export async function* collectionFileKeys(tenant: Tenant, collectionId: string): AsyncGenerator<string[]> {
  const prefix = `${storagePrefix(tenant.id)}${collectionId}/`;
  let startAfter: string | undefined;
  do {
    const signal = AbortSignal.timeout(limits.storeRequestMs);
    const page = await tenant.objects.list({
      prefix,
      signal,
      limit: limits.storeListPage,
      ...(startAfter === undefined ? {} : { startAfter }),
    });
    if (page.objects.length > 0) yield page.objects.map(({ key }) => key);
    startAfter = page.next;
  } while (startAfter !== undefined);
}

function keyOf(tenant: Tenant, collectionId: string, recordId: string, name: string): string {
  return storageKey(tenant.id, collectionId, recordId, name);
}
