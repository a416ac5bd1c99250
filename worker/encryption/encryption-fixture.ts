/** For tests: tenants with keys over a store in a temporary directory. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TenantId } from "../../shared/ids.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { base64Url } from "../../shared/protocol/mac.ts";
import { openFileStore } from "../objects/file/file-store.ts";
import { systemClock } from "../replication/clock.ts";
import { DataKeys } from "./data-key.ts";
import { encryptedStore } from "./encrypted-store.ts";
import { type KeyProvider, openKeyProvider } from "./key-provider.ts";
import { TenantKeys } from "./tenant-keys.ts";

export const tenantId = (letter: string): TenantId => letter.repeat(15) as TenantId;

/** The same random-looking bytes each time: a repeated nonce does no harm to a test. */
export const fixedKeys = (tenant: TenantId, fill = 7): DataKeys => {
  const keys = new DataKeys(tenant);
  keys.add(1, new Uint8Array(32).fill(fill));
  return keys;
};

export function keyringFile(directory: string, ids: readonly string[], name = "keyring"): string {
  const file = join(directory, name);
  const lines = ids.map((id) => `${id}:${base64Url(new Bun.CryptoHasher("sha256").update(id).digest())}`);
  writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 });
  return file;
}

export interface EncryptedWorld {
  directory: string;
  /** What stands there. */
  raw: ObjectStore;
  /** What rooms see. */
  store: ObjectStore;
  keys: TenantKeys;
  provider: KeyProvider;
  close(): Promise<void>;
}

export async function encryptedWorld(): Promise<EncryptedWorld> {
  const directory = mkdtempSync(join(tmpdir(), "encryption-"));
  const raw = await openFileStore(join(directory, "store"));
  const provider = openKeyProvider(`local:${keyringFile(directory, ["one"])}`);
  const keys = new TenantKeys({ store: raw, clock: systemClock, provider });
  return {
    directory,
    raw,
    store: encryptedStore(raw, keys),
    keys,
    provider,
    async close() {
      keys.close();
      provider.close();
      await raw.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Opens a tenant as its first load does. */
export async function openNew(
  world: EncryptedWorld,
  tenant: TenantId,
  encrypted = true,
): Promise<{ close(): void }> {
  const { signal } = new AbortController();
  const lease = await world.keys.open({ tenant, encrypted, virgin: true }, signal);
  await lease.create(signal);
  return lease;
}

/** Wraps by not wrapping. */
export const fakeProvider: KeyProvider = {
  current: () => Promise.resolve("fake"),
  wrap: (dataKey) => Promise.resolve({ kek: "fake", wrapped: dataKey.slice() }),
  unwrap: ({ wrapped }) => Promise.resolve(wrapped.slice()),
  close: () => undefined,
};
