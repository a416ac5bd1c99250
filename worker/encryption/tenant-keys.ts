import { randomBytes } from "node:crypto";
import { SystemError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { dataKeyKey, dataKeysPrefix } from "../../shared/objects/layout.ts";
import { getBytes } from "../../shared/objects/read.ts";
import type { Assignment } from "../../shared/protocol/internal.ts";
import type { Clock } from "../replication/clock.ts";
import { putDurably } from "../replication/put-durably.ts";
import { DATA_KEY_BYTES, DataKeys, decodeKeyObject, encodeKeyObject, keyVersion } from "./data-key.ts";
import { keyMissing, noKeys, notOpen, tampered } from "./errors.ts";
import { type KeyProvider, unwrapOrRefuse } from "./key-provider.ts";

export interface TenantKeysOptions {
  /** The store itself: key objects are not sealed. */
  store: ObjectStore;
  clock: Clock;
  /** Absent: encrypted tenants are refused. */
  provider?: KeyProvider | undefined;
  /** For data keys, salts and nonces; the system's by default. */
  randomBytes?: ((length: number) => Uint8Array) | undefined;
}

/** A tenant, and the one that it branched from, are open while it lasts. */
export interface KeyLease {
  /** Nothing of the tenant is anywhere that would need a key, as a load has found: its first one is made, unless it has one or is plain. */
  create(signal: AbortSignal): Promise<void>;
  close(): void;
}

interface Open {
  leases: number;
  /** Of an encrypted tenant; none in it: nothing may be written or read yet. */
  keys: DataKeys | undefined;
}

/** Which tenants' content may pass on this worker, and with which keys. */
export class TenantKeys {
  readonly #options: TenantKeysOptions;
  /** Never repeats itself. */
  readonly randomBytes: (length: number) => Uint8Array;
  readonly #open = new Map<TenantId, Open>();

  constructor(options: TenantKeysOptions) {
    this.#options = options;
    this.randomBytes = options.randomBytes ?? randomBytes;
  }

  /** Undefined: the tenant is plain. @throws SystemError `tenant_stopped` when it is not open here */
  of(tenant: TenantId): DataKeys | undefined {
    const open = this.#open.get(tenant);
    if (open === undefined) throw notOpen(tenant);
    return open.keys;
  }

  isOpen(tenant: TenantId): boolean {
    return this.#open.has(tenant);
  }

  /**
   * @throws SystemError `data_key_missing` when there is no key, unless the tenant is virgin or a branch; `keys_not_configured`;
   *   `key_refused`; `key_service_unavailable`; `store_unavailable`
   */
  async open(
    { tenant, encrypted, virgin, origin }: Pick<Assignment, "tenant" | "encrypted" | "virgin" | "origin">,
    signal: AbortSignal,
  ): Promise<KeyLease> {
    const held: TenantId[] = [];
    const close = (): void => {
      for (const id of held.splice(0)) this.#leave(id);
    };
    try {
      // A branch has databases before it has anything of its own.
      await this.#enter(tenant, encrypted === true, virgin || origin !== undefined, signal);
      held.push(tenant);
      if (origin !== undefined) {
        await this.#enter(origin.tenant, origin.encrypted, false, signal);
        held.push(origin.tenant);
      }
    } catch (error) {
      close();
      throw error;
    }
    return { create: (abort) => this.#create(tenant, abort), close };
  }

  /** Nothing passes any more. */
  close(): void {
    for (const { keys } of this.#open.values()) keys?.forget();
    this.#open.clear();
  }

  async #enter(tenant: TenantId, encrypted: boolean, mayBeNew: boolean, signal: AbortSignal): Promise<void> {
    const keys = encrypted ? await this.#read(tenant, mayBeNew, signal) : undefined;
    const open = this.#open.get(tenant);
    if (open === undefined) {
      this.#open.set(tenant, { leases: 1, keys });
      return;
    }
    if ((open.keys === undefined) !== (keys === undefined)) {
      keys?.forget();
      throw new SystemError("internal", `Cannot open tenant ${tenant}: it is here as plain and as encrypted`);
    }
    // A key that was made meanwhile is in the newer reading only.
    if (keys?.isEmpty === false && open.keys?.isEmpty === true) open.keys = keys;
    else keys?.forget();
    open.leases++;
  }

  #leave(tenant: TenantId): void {
    const open = this.#open.get(tenant);
    if (open === undefined || --open.leases > 0) return;
    open.keys?.forget();
    this.#open.delete(tenant);
  }

  async #read(tenant: TenantId, mayBeNew: boolean, signal: AbortSignal): Promise<DataKeys> {
    const { store, provider } = this.#options;
    if (provider === undefined) throw noKeys(tenant);
    const keys = new DataKeys(tenant);
    const prefix = dataKeysPrefix(tenant);
    const page = await store.list({ prefix, limit: limits.dataKeyVersionsMax, signal });
    for (const { key, size } of page.objects) {
      const version = keyVersion(key.slice(prefix.length));
      if (size > limits.keyObjectBytesMax) throw tampered(key, "it is no wrapped key");
      if (version !== undefined) keys.add(version, await this.#fetch(tenant, version, provider, signal));
    }
    if (keys.isEmpty && !mayBeNew) throw keyMissing(tenant);
    return keys;
  }

  async #fetch(
    tenant: TenantId,
    version: number,
    provider: KeyProvider,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const key = dataKeyKey(tenant, version);
    const bytes = await getBytes(this.#options.store, key, { signal });
    if (bytes === undefined) throw keyMissing(tenant);
    return unwrapOrRefuse(provider, decodeKeyObject(key, bytes), { tenant, version }, signal);
  }

  async #create(tenant: TenantId, signal: AbortSignal): Promise<void> {
    const { store, clock, provider } = this.#options;
    const keys = this.of(tenant);
    if (keys?.isEmpty !== true) return;
    if (provider === undefined) throw noKeys(tenant);
    const version = 1;
    const key = new Uint8Array(this.randomBytes(DATA_KEY_BYTES));
    const wrapped = encodeKeyObject(await provider.wrap(key, { tenant, version }, signal));
    const outcome = await putDurably(store, dataKeyKey(tenant, version), () => wrapped, { clock, signal });
    if (outcome === "created") {
      keys.add(version, key);
      return;
    }
    // An earlier try, or another worker that was given the tenant first: what stands there counts.
    key.fill(0);
    keys.add(version, await this.#fetch(tenant, version, provider, signal));
  }
}
