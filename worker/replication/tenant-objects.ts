import type { DatabaseName, TenantId, Txid } from "../../shared/ids.ts";
import { parseDatabaseName } from "../../shared/ids.ts";
import type { ObjectStore, RequestOptions } from "../../shared/objects/contract.ts";
import { tenantPrefix } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import { type ChainFile, parseChainKey } from "./chain.ts";

export interface TenantObject {
  key: string;
  /** By the store's clock. */
  modifiedMs: number;
}

/** A tenant's objects that maintenance looks at; uploads, keys and metadata are none of them. */
export interface TenantObjects {
  chains: Map<DatabaseName, ChainFile[]>;
  bundles: (TenantObject & { database: DatabaseName; minTxid: Txid; maxTxid: Txid })[];
  large: TenantObject[];
  /** Records of deletions that were announced. */
  condemned: TenantObject[];
}

const BUNDLE = /^([^/]+)\/([0-9a-f]{16})-([0-9a-f]{16})\.bundle$/;

/**
 * One LIST (a page per 1000 objects): all that is wanted stands before `litestream/` and in it, and uploads stand behind.
 * What is named like nothing of ours is left alone.
 */
export async function listTenantObjects(
  store: ObjectStore,
  tenant: TenantId,
  options: RequestOptions,
): Promise<TenantObjects> {
  const prefix = tenantPrefix(tenant);
  const found: TenantObjects = { chains: new Map(), bundles: [], large: [], condemned: [] };
  for await (const { key, size, modifiedMs } of listAll(store, { prefix, ...options })) {
    const slash = key.indexOf("/", prefix.length);
    const folder = key.slice(prefix.length, slash);
    if (folder > "litestream") break;
    const name = key.slice(slash + 1);
    if (folder === "large") found.large.push({ key, modifiedMs });
    else if (folder === "condemned") found.condemned.push({ key, modifiedMs });
    else if (folder === "flushes") {
      const [, database, min, max] = BUNDLE.exec(name) ?? [];
      if (database === undefined || min === undefined || max === undefined) continue;
      found.bundles.push({
        key,
        modifiedMs,
        database: parseDatabaseName(database),
        minTxid: Number.parseInt(min, 16) as Txid,
        maxTxid: Number.parseInt(max, 16) as Txid,
      });
    } else if (folder === "litestream") {
      const parsed = parseChainKey(name);
      if (parsed === undefined) continue;
      const { database, ...file } = parsed;
      const files = found.chains.get(database) ?? [];
      found.chains.set(database, files);
      files.push({ key, ...file, size, modifiedMs });
    }
  }
  return found;
}
