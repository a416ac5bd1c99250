import type { DatabaseName } from "../../shared/ids.ts";
import type { MaterialiseTarget, Materialiser } from "../replication/materialise.ts";
import type { ChainFile } from "../replication/chain.ts";
import type { Maintainer, MaintenanceTarget } from "../replication/maintainer.ts";
import type { UploadOwner } from "../points/upload-keeper.ts";
import type { LoadedDatabase } from "./loaded-database.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";
import type { ReportQueue } from "./reports.ts";

export interface TenantPrefixesOptions {
  materialiser: Materialiser;
  maintainer: Maintainer;
  reports: ReportQueue;
  /** Something that was cut of it is not durable yet. */
  isPending: (tenant: LoadedTenant) => boolean;
  /** Which uploads records name; without it no upload is ever removed. */
  namedUploads?: ((tenant: LoadedTenant, keys: readonly string[]) => ReadonlySet<string>) | undefined;
  /** Of condemned keys those that may still go. */
  stillUnnamed: (owner: UploadOwner, keys: readonly string[]) => Promise<readonly string[]>;
  /** Another writer's file stands where ours should, or worse. */
  broken: (tenant: LoadedTenant, error: unknown) => void;
}

/** Brings what is durable of tenants under their prefixes, and tells control what it need not remember any more. */
export class TenantPrefixes {
  readonly #options: TenantPrefixesOptions;
  readonly #maintained = new WeakMap<LoadedTenant, MaintenanceTarget>();
  readonly #targets = new WeakMap<LoadedDatabase, MaterialiseTarget>();

  constructor(options: TenantPrefixesOptions) {
    this.#options = options;
  }

  /** A TXID of this database is in our log. */
  logged(tenant: LoadedTenant, database: LoadedDatabase): void {
    this.#options.materialiser.added(this.#target(tenant, database));
  }

  /** What came from dead workers' logs goes under the prefix at once, so that control can forget the logs. */
  loaded(tenant: LoadedTenant, chains: ReadonlyMap<DatabaseName, readonly ChainFile[]>): void {
    this.#options.maintainer.loaded(this.#maintenance(tenant), chains);
    this.#shorten(tenant);
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

  /**
   * A chain that became too long while the tenant went from worker to worker, where none waited for a snapshot; and a branch gets one
   * of its own soon after its first load, so that stock tools read it.
   */
  #shorten(tenant: LoadedTenant): void {
    const nowMs = tenant.clock.nowMs();
    for (const database of tenant.databases.values()) {
      if (!database.ledger.snapshotDue(nowMs)) continue;
      this.#options.materialiser.settle(this.#target(tenant, database)).catch(() => {
        // The tenant was told, or this worker has ended; the next load tries again.
      });
    }
  }

  /** Resolves when all that is durable now is under the prefix. */
  async flush(tenant: LoadedTenant): Promise<void> {
    await Promise.all(
      [...tenant.databases.values()].map((database) =>
        this.#options.materialiser.flush(this.#target(tenant, database)),
      ),
    );
  }

  /** As `flush`, and the snapshot that is due then: a branch stands on its own from there on. */
  async settle(tenant: LoadedTenant): Promise<void> {
    await Promise.all(
      [...tenant.databases.values()].map((database) =>
        this.#options.materialiser.settle(this.#target(tenant, database)),
      ),
    );
  }

  undisturbed<T>(tenant: LoadedTenant, work: () => Promise<T>): Promise<T> {
    return this.#options.maintainer.undisturbed(this.#maintenance(tenant), work);
  }

  /** Loaded from files that were here, without a look at its prefix. */
  resumed(tenant: LoadedTenant, maintainAtMs: number | undefined): void {
    this.#shorten(tenant);
    if (maintainAtMs !== undefined) {
      this.#options.maintainer.resumed(this.#maintenance(tenant), maintainAtMs);
    }
  }

  /** At once. */
  maintain(tenant: LoadedTenant): void {
    this.#options.maintainer.due(this.#maintenance(tenant));
  }

  maintainAtMs(tenant: LoadedTenant): number | undefined {
    return this.#options.maintainer.dueAtMs(this.#maintenance(tenant));
  }

  /** It leaves: who has it next goes on with what is due. */
  left(tenant: LoadedTenant): void {
    this.#options.maintainer.forget(this.#maintenance(tenant));
  }

  #maintenance(tenant: LoadedTenant): MaintenanceTarget {
    let target = this.#maintained.get(tenant);
    if (target === undefined) {
      target = {
        tenant: tenant.id,
        epoch: tenant.epoch,
        here: () => tenant.lost === undefined && !tenant.leaving,
        ledger: (name) => tenant.databases.get(name)?.ledger,
        neededLarge: () => this.#neededLarge(tenant),
        failed: (error) => tenant.effectFailed(error),
        namedUploads: (keys) => this.#namedUploads(tenant, keys),
        stillFree: (keys) => this.#options.stillUnnamed(this.#maintenance(tenant), keys),
      };
      this.#maintained.set(tenant, target);
    }
    return target;
  }

  #namedUploads(tenant: LoadedTenant, keys: readonly string[]): ReadonlySet<string> | undefined {
    const { namedUploads } = this.#options;
    return tenant.ready && tenant.lost === undefined ? namedUploads?.(tenant, keys) : undefined;
  }

  /** An upload that no entry names yet may be one that is about to be named. */
  #neededLarge(tenant: LoadedTenant): ReadonlySet<string> | undefined {
    const unknown =
      tenant.uploading !== undefined ||
      tenant.lock.held ||
      tenant.tailsToClear.length > 0 ||
      this.#options.isPending(tenant);
    if (unknown) return undefined;
    const needed = new Set<string>();
    for (const { ledger } of tenant.databases.values()) {
      for (const { ref } of ledger.entries) if (ref !== undefined) needed.add(ref.key);
    }
    return needed;
  }

  #target(tenant: LoadedTenant, database: LoadedDatabase): MaterialiseTarget {
    let target = this.#targets.get(database);
    if (target === undefined) {
      target = {
        ledger: database.ledger,
        image: () => (tenant.lost === undefined ? database.cuts.image() : Promise.resolve(undefined)),
        snapshotBytes: () => (tenant.lost === undefined && !tenant.leaving ? database.fileBytes : undefined),
        gone: tenant.gone,
        warned: (error) => tenant.effectFailed(error),
        materialised: () => {
          this.#materialised(tenant);
          if (tenant.lost !== undefined) return;
          this.#options.maintainer.changed(this.#maintenance(tenant));
          database.cuts.truncateWal();
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
