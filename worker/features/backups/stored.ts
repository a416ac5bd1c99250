/** The backups of a tenant in the object store. */
import { limits } from "../../../shared/limits.ts";
import { backupKey, backupsPrefix } from "../../../shared/objects/layout.ts";
import { listAll } from "../../../shared/objects/read.ts";
import { dateText } from "../../model/fields/date-text.ts";
import type { Tenant } from "../../tenant/contract.ts";

export interface StoredBackup {
  modified: string;
  key: string;
  size: number;
}

export async function listBackups(tenant: Tenant, signal: AbortSignal): Promise<StoredBackup[]> {
  const prefix = backupsPrefix(tenant.id);
  const found: StoredBackup[] = [];
  for await (const { key, size, modifiedMs } of listAll(tenant.objects, { prefix, signal })) {
    found.push({ modified: dateText(new Date(modifiedMs)), key: key.slice(prefix.length), size });
    if (found.length >= limits.backupsListedMax) break;
  }
  return found;
}

export async function hasBackup(tenant: Tenant, name: string, signal: AbortSignal): Promise<boolean> {
  return (await tenant.objects.head(backupKey(tenant.id, name), { signal })) !== undefined;
}

/** Durable when this resolves. The file is read as it is sent. */
export async function storeBackup(
  tenant: Tenant,
  name: string,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const file = Bun.file(path);
  const body = { stream: file.stream(), length: file.size };
  await tenant.objects.put(backupKey(tenant.id, name), body, { signal, contentType: "application/zip" });
}

export async function deleteBackup(tenant: Tenant, name: string, signal: AbortSignal): Promise<void> {
  await tenant.objects.delete([backupKey(tenant.id, name)], { signal });
}

/** Ends with the tenant, and after the longest time that a backup may take. */
export function backupSignal(tenant: Tenant): AbortSignal {
  return AbortSignal.any([tenant.gone, AbortSignal.timeout(limits.backupMs)]);
}
