import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { SystemError, UserError } from "../../shared/errors.ts";
import { DATA_DB, parseDatabaseName } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { storageKey } from "../../shared/objects/layout.ts";
import type { ImportReport } from "../../shared/protocol/cp.ts";
import type { TenantRequest } from "../http/contract.ts";
import { modelOf } from "../model/model.ts";
import { checkPocketBaseFile } from "../sqlite/validate.ts";
import type { Tenant } from "../tenant/contract.ts";
import { type StoredFile, receivePbData } from "./receive-pb-data.ts";

/**
 * Replaces a tenant's content by a PocketBase data directory, sent as a tar. Files are in the object store before the databases
 * that name them; the databases become the tenant's as they are, one new TXID each. Until that commit the old content serves.
 */
export async function importTenant(
  context: TenantRequest,
  temporary: string = context.tenant.temporary,
): Promise<ImportReport> {
  const { tenant, request, seen } = context;
  if (request.body === null) throw new UserError("invalid_import", "Cannot import: the request has no body");
  const directory = await mkdtemp(join(temporary, "import-"));
  try {
    const received = await receivePbData(request.body, directory);
    checkPocketBaseFile(received.databases.get(DATA_DB) ?? "", DATA_DB);
    checkRoom(tenant, received);
    await storeFiles(tenant, received.files, request.signal);
    await tenant.replaceDatabases(
      seen,
      new Map([...received.databases].map(([name, path]) => [parseDatabaseName(name), path])),
    );
    return {
      ...count(context),
      files: received.files.length,
      bytes: received.bytes,
      notCarried: received.notCarried,
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Before anything is stored: all that is there now makes room. */
function checkRoom({ quota }: Tenant, { bytes }: { bytes: number }): void {
  if (quota === undefined || bytes <= quota.bytesMax) return;
  throw new UserError("too_large", `Cannot import: ${bytes} bytes are more than the storage quota`, {
    hint: `The quota is ${quota.bytesMax} bytes; ask for a larger one.`,
  });
}

/** Equal content on an existing key is success: `put` writes the same bytes again. */
async function storeFiles(tenant: Tenant, files: readonly StoredFile[], signal: AbortSignal): Promise<void> {
  const queue = files.values();
  const next = async (): Promise<void> => {
    for (const file of queue) {
      const source = Bun.file(file.path);
      const key = storageKey(tenant.id, file.collectionId, file.recordId, file.name);
      const small = source.size <= limits.storePartBytes;
      const body = small ? await source.bytes() : { stream: source.stream(), length: source.size };
      await tenant.objects.put(key, body, { signal });
    }
  };
  await Promise.all(Array.from({ length: limits.importUploadsParallel }, next));
}

function count({ tenant, seen }: TenantRequest): { collections: number; records: number } {
  const { collections } = modelOf(tenant).schema;
  const records = tenant.data.read(seen, (db) =>
    collections
      .filter((collection) => collection.type !== "view")
      .reduce(
        (sum, { name }) =>
          sum + (db.get<{ n: number }>(`SELECT count(*) AS n FROM "${name.replaceAll('"', '""')}"`)?.n ?? 0),
        0,
      ),
  );
  if (collections.length === 0)
    throw new SystemError("internal", "Cannot import: the imported data has no collections");
  return { collections: collections.length, records };
}
