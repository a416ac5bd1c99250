import type { DataEntry } from "../../shared/log/log.ts";
import type { Origin, Positions } from "../../shared/protocol/internal.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { listTenantObjects } from "../replication/tenant-objects.ts";
import type { Clock } from "../replication/clock.ts";
import type { Condemned } from "../replication/condemned.ts";
import type { TenantHistory } from "./contract.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";
import type { TenantPrefixes } from "./tenant-prefixes.ts";

export interface TenantHistoryParts {
  store: ObjectStore;
  prefixes: TenantPrefixes;
  condemned: Condemned;
  prove: () => Promise<void>;
}

/** What a tenant's history can do where the tenant is loaded. */
export class LoadedHistory implements TenantHistory {
  readonly #parts: TenantHistoryParts;
  readonly #tenant: LoadedTenant;
  #detached = false;

  constructor(parts: TenantHistoryParts, tenant: LoadedTenant) {
    this.#parts = parts;
    this.#tenant = tenant;
  }

  get origin(): Origin | undefined {
    return this.#detached ? undefined : this.#tenant.origin;
  }

  detached(): void {
    this.#detached = true;
  }

  get encrypted(): boolean {
    return this.#tenant.encrypted;
  }

  get clock(): Clock {
    return this.#tenant.clock;
  }

  get store(): ObjectStore {
    return this.#parts.store;
  }

  captured(): Positions {
    return this.#tenant.captured();
  }

  open(entry: DataEntry): DataEntry {
    return this.#tenant.ciphers.open(entry);
  }

  async materialise(): Promise<void> {
    const { gate, databases } = this.#tenant;
    this.#tenant.checkHere();
    await Promise.all(
      [...databases.values()].map(async ({ position }) => gate.durable(position, position.mark)),
    );
    await this.#parts.prefixes.settle(this.#tenant);
    this.#tenant.checkHere();
  }

  undisturbed<T>(work: () => Promise<T>): Promise<T> {
    return this.#parts.prefixes.undisturbed(this.#tenant, work);
  }

  async condemned(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { store, condemned } = this.#parts;
    const { id } = this.#tenant;
    const keys = new Set<string>();
    for (const { key } of (await listTenantObjects(store, id, { signal })).condemned) {
      for (const one of await condemned.read(id, key)) keys.add(one);
    }
    return keys;
  }

  async prove(): Promise<void> {
    await this.#parts.prove();
    this.#tenant.checkHere();
  }
}
