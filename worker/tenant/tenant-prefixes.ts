import type { MaterialiseTarget, Materialiser } from "../replication/materialise.ts";
import type { LoadedDatabase } from "./loaded-database.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";
import type { ReportQueue } from "./reports.ts";

export interface TenantPrefixesOptions {
  materialiser: Materialiser;
  reports: ReportQueue;
  /** Another writer's file stands where ours should, or worse. */
  broken: (tenant: LoadedTenant, error: unknown) => void;
}

/** Brings what is durable of tenants under their prefixes, and tells control what it need not remember any more. */
export class TenantPrefixes {
  readonly #options: TenantPrefixesOptions;
  readonly #targets = new WeakMap<LoadedDatabase, MaterialiseTarget>();

  constructor(options: TenantPrefixesOptions) {
    this.#options = options;
  }

  /** A TXID of this database is in our log. */
  logged(tenant: LoadedTenant, database: LoadedDatabase): void {
    this.#options.materialiser.added(this.#target(tenant, database));
  }

  /** What came from dead workers' logs goes under the prefix at once, so that control can forget the logs. */
  loaded(tenant: LoadedTenant): void {
    if (tenant.tailsToClear.length === 0) return;
    if (!holdsTails(tenant)) {
      this.#materialised(tenant);
      return;
    }
    for (const database of tenant.databases.values()) this.logged(tenant, database);
    this.flush(tenant).catch(() => {
      // The tenant was told, or this worker has ended; the tails stay named until another load.
    });
  }

  /** Resolves when all that is durable now is under the prefix. */
  async flush(tenant: LoadedTenant): Promise<void> {
    await Promise.all(
      [...tenant.databases.values()].map((database) =>
        this.#options.materialiser.flush(this.#target(tenant, database)),
      ),
    );
  }

  #target(tenant: LoadedTenant, database: LoadedDatabase): MaterialiseTarget {
    let target = this.#targets.get(database);
    if (target === undefined) {
      target = {
        ledger: database.ledger,
        image: () => (tenant.lost === undefined ? database.image() : Promise.resolve(undefined)),
        materialised: () => {
          this.#materialised(tenant);
          if (tenant.lost === undefined) database.truncateWal();
        },
        failed: (error) => this.#options.broken(tenant, error),
      };
      this.#targets.set(database, target);
    }
    return target;
  }

  #materialised(tenant: LoadedTenant): void {
    let cleared: typeof tenant.tailsToClear = [];
    if (!holdsTails(tenant)) {
      cleared = tenant.tailsToClear;
      tenant.tailsToClear = [];
    }
    this.#options.reports.materialised(tenant.id, tenant.epoch, tenant.base(), cleared);
  }
}

/** Whether something that came from another worker's log is not under the prefix yet. */
function holdsTails(tenant: LoadedTenant): boolean {
  return [...tenant.databases.values()].some(({ ledger }) =>
    ledger.entries.some((entry) => entry.seq === undefined),
  );
}
