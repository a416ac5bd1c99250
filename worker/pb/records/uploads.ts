/** Files of records in the object store: durable before the record that names them is saved, kept for a while after it let them go. */
import { limits } from "../../../shared/limits.ts";
import type { ObjectBody } from "../../../shared/objects/contract.ts";
import { storageKey, storagePrefix } from "../../../shared/objects/layout.ts";
import type { PendingRecord, RecordData } from "../../model/contract.ts";
import type { Tenant } from "../../tenant/contract.ts";

export async function storeUploads(tenant: Tenant, pending: PendingRecord): Promise<void> {
  const waiting = [...pending.uploads];
  const signal = AbortSignal.timeout(limits.uploadMs);
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
  await Promise.all(Array.from({ length: limits.uploadsParallel }, lane));
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

/** The names of all files that a record holds. */
export function filesOf(record: RecordData): string[] {
  const names: string[] = [];
  for (const field of record.collection.fields) {
    if (field.type !== "file") continue;
    const value = record.values[field.name];
    if (Array.isArray(value)) names.push(...value.filter((name): name is string => typeof name === "string"));
    else if (typeof value === "string" && value !== "") names.push(value);
  }
  return names;
}

function keyOf(tenant: Tenant, collectionId: string, recordId: string, name: string): string {
  return storageKey(tenant.id, collectionId, recordId, name);
}
