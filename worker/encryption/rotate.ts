import { SystemError } from "../../shared/errors.ts";
import { type TenantId, parseTenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { dataKeyKey, dataKeysPrefix } from "../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../shared/objects/read.ts";
import { parallel } from "../replication/parallel.ts";
import { type WrappedKey, decodeKeyObject, encodeKeyObject, keyVersion } from "./data-key.ts";
import { type KeyContext, type KeyProvider, unwrapOrRefuse } from "./key-provider.ts";

/** A wrapped data key in a store. */
export interface StoredKey extends KeyContext {
  key: string;
  /** @throws SystemError `object_corrupt`; the store's errors */
  read(): Promise<WrappedKey>;
}

export interface RotationReport {
  /** That have data keys. */
  tenants: number;
  keys: number;
  rewrapped: number;
  /** Were wrapped by the first key-encryption key before. */
  already: number;
  failed: { key: string; error: string }[];
}

/** All wrapped data keys, tenant by tenant. @throws the store's errors */
export async function* storedKeys(
  store: ObjectStore,
  signal: AbortSignal,
): AsyncGenerator<{ tenant: TenantId; keys: StoredKey[] }> {
  for await (const tenant of tenantsOf(store, signal)) {
    const keys: StoredKey[] = [];
    const prefix = dataKeysPrefix(tenant);
    for await (const { key } of listAll(store, { prefix, signal })) {
      const version = keyVersion(key.slice(prefix.length));
      if (version !== undefined) keys.push({ key, tenant, version, read: () => read(store, key, signal) });
    }
    if (keys.length > 0) yield { tenant, keys };
  }
}

async function read(store: ObjectStore, key: string, signal: AbortSignal): Promise<WrappedKey> {
  const bytes = await getBytes(store, key, { signal });
  if (bytes !== undefined) return decodeKeyObject(key, bytes);
  throw new SystemError("data_key_missing", `Cannot read ${key}: it was deleted meanwhile`);
}

/**
 * Wraps every data key by the provider's first key-encryption key. Data is not touched; what was done stays done, so it can be broken
 * off and run again. A key object is overwritten only after what takes its place was unwrapped and found to be the same key.
 */
export async function rotateKeys(
  store: ObjectStore,
  provider: KeyProvider,
  signal: AbortSignal,
): Promise<RotationReport> {
  const report: RotationReport = { tenants: 0, keys: 0, rewrapped: 0, already: 0, failed: [] };
  const current = await provider.current();
  let batch: StoredKey[] = [];
  const work = async (): Promise<void> => {
    await parallel(batch, limits.keyRotationsParallel, async (stored) => {
      report.keys++;
      try {
        const wrapped = await stored.read();
        if (wrapped.kek === current) {
          report.already++;
          return;
        }
        await rewrap(store, provider, { ...stored, ...wrapped }, signal);
        report.rewrapped++;
      } catch (error) {
        signal.throwIfAborted();
        report.failed.push({
          key: stored.key,
          error: error instanceof Error ? error.message : String(error),
        });
      }
    });
    batch = [];
  };
  for await (const { keys } of storedKeys(store, signal)) {
    report.tenants++;
    batch.push(...keys);
    if (batch.length >= limits.keyRotationsParallel) await work();
  }
  await work();
  return report;
}

async function rewrap(
  store: ObjectStore,
  provider: KeyProvider,
  stored: KeyContext & WrappedKey,
  signal: AbortSignal,
): Promise<void> {
  const key = dataKeyKey(stored.tenant, stored.version);
  const dataKey = await unwrapOrRefuse(provider, stored, stored, signal);
  const wrapped = await provider.wrap(dataKey, stored, signal);
  const again = await unwrapOrRefuse(provider, wrapped, stored, signal);
  const isSame = Buffer.compare(dataKey, again) === 0;
  dataKey.fill(0);
  again.fill(0);
  if (!isSame) {
    throw new SystemError("key_refused", `Cannot rotate ${key}: ${wrapped.kek} gives another key back`, {
      hint: "Nothing was overwritten. Check the key service.",
    });
  }
  await store.put(key, encodeKeyObject(wrapped), { signal });
}

async function* tenantsOf(store: ObjectStore, signal: AbortSignal): AsyncGenerator<TenantId> {
  const prefix = "tenants/";
  let next: string | undefined = "";
  while (next !== undefined) {
    const after: { startAfter?: string } = next === "" ? {} : { startAfter: next };
    const page = await store.list({ prefix, delimiter: "/", signal, ...after });
    for (const folder of page.prefixes) {
      const name = folder.slice(prefix.length, -1);
      if (/^[a-z0-9]{15}$/.test(name)) yield parseTenantId(name);
    }
    next = page.next;
  }
}
