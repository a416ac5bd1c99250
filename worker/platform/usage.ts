import type { Usage } from "../../shared/protocol/internal.ts";
import { parseDatabaseName } from "../../shared/ids.ts";
import { uploadBytesOf } from "../pb/records/upload-sizes.ts";
import type { Tenant } from "../tenant/contract.ts";

/** What counts against the quota, by database, and the uploads. Without a quota uploads are listed for each question. */
export async function usageOf(tenant: Tenant): Promise<Usage> {
  const names = Object.keys(tenant.history.captured());
  const databases = Object.fromEntries(
    names.map((name) => [name, tenant.database(parseDatabaseName(name)).bytes]),
  );
  const uploads = await uploadBytesOf(tenant);
  const total = Object.values(databases).reduce((sum, bytes) => sum + bytes, uploads);
  return {
    databases,
    uploads,
    total,
    ...(tenant.quota === undefined ? {} : { storageBytesMax: tenant.quota.bytesMax }),
  };
}
