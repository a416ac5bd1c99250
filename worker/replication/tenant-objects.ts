import type { DatabaseName, TenantId, Txid } from "../../shared/ids.ts";
import { parseDatabaseName } from "../../shared/ids.ts";
import type { ListedObject, ObjectStore, RequestOptions } from "../../shared/objects/contract.ts";
import { tenantPrefix } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import { type ChainFile, parseChainKey } from "./chain.ts";

export interface TenantObject {
  key: string;
  /** By the store's clock. */
  modifiedMs: number;
}

/** The flushes of one database from `minTxid` to `maxTxid`. */
export interface BundleFile extends TenantObject {
  database: DatabaseName;
  minTxid: Txid;
  maxTxid: Txid;
  size: number;
}

/** A tenant's objects that maintenance looks at; uploads, keys and metadata are none of them. */
export interface TenantObjects {
  chains: Map<DatabaseName, ChainFile[]>;
  bundles: BundleFile[];
  large: TenantObject[];
  /** Records of deletions that were announced. */
  condemned: TenantObject[];
  /** Records of uploads that no record names any more. */
  dropped: TenantObject[];
  /** When all records were replaced last, and when uploads were compared with them; 0 for never. */
  replacedMs: number;
  sweptMs: number;
  /** What branches read. */
  pins: TenantObject[];
}

const BUNDLE = /^([^/]+)\/([0-9a-f]{16})-([0-9a-f]{16})\.bundle$/;

/**
 * One LIST (a page per 1000 objects): all that is wanted stands before uploads. One more where control keeps metadata, which may be
 * many objects and stand in between. What is named like nothing of ours is left alone.
 */
export async function listTenantObjects(
  store: ObjectStore,
  tenant: TenantId,
  options: RequestOptions,
): Promise<TenantObjects> {
  const found: TenantObjects = {
    chains: new Map(),
    bundles: [],
    large: [],
    condemned: [],
    dropped: [],
    replacedMs: 0,
    sweptMs: 0,
    pins: [],
  };
  if ((await listUntil(store, tenant, found, options)) === "metadata") {
    // The first name that can follow it.
    const startAfter = `${tenantPrefix(tenant)}metadata0`;
    await listUntil(store, tenant, found, { ...options, startAfter });
  }
  return found;
}

/** @returns at which folder it ended, if there was something of no interest */
async function listUntil(
  store: ObjectStore,
  tenant: TenantId,
  found: TenantObjects,
  options: RequestOptions & { startAfter?: string },
): Promise<string | undefined> {
  const prefix = tenantPrefix(tenant);
  for await (const { key, size, modifiedMs } of listAll(store, { prefix, ...options })) {
    const slash = key.indexOf("/", prefix.length);
    const folder = key.slice(prefix.length, slash);
    if (folder === "metadata" || folder > "pins") return folder;
    place(found, folder, key.slice(slash + 1), { key, size, modifiedMs });
  }
  return undefined;
}

function place(found: TenantObjects, folder: string, name: string, listed: ListedObject): void {
  const { key, size, modifiedMs } = listed;
  if (folder === "large") found.large.push({ key, modifiedMs });
  else if (folder === "condemned") found.condemned.push({ key, modifiedMs });
  else if (folder === "pins") found.pins.push({ key, modifiedMs });
  else if (folder === "dropped") {
    if (name === "replaced") found.replacedMs = modifiedMs;
    else if (name === "swept") found.sweptMs = modifiedMs;
    else found.dropped.push({ key, modifiedMs });
  } else if (folder === "flushes") {
    const [, database, min, max] = BUNDLE.exec(name) ?? [];
    if (database === undefined || min === undefined || max === undefined) return;
    found.bundles.push({
      key,
      modifiedMs,
      database: parseDatabaseName(database),
      minTxid: Number.parseInt(min, 16) as Txid,
      maxTxid: Number.parseInt(max, 16) as Txid,
      size,
    });
  } else if (folder === "litestream") {
    const parsed = parseChainKey(name);
    if (parsed === undefined) return;
    const { database, ...file } = parsed;
    const files = found.chains.get(database) ?? [];
    found.chains.set(database, files);
    files.push({ key, ...file, size, modifiedMs });
  }
}
