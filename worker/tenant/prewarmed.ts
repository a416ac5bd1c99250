import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SystemError } from "../../shared/errors.ts";
import type { DatabaseName, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Assignment } from "../../shared/protocol/internal.ts";
import { bytesOf } from "../replication/catch-up.ts";
import type { Clock } from "../replication/clock.ts";
import type { RestoredDatabase, RestoredTenant } from "../replication/restore.ts";

const FOLDER = "warm";

interface Copy {
  restored: RestoredTenant;
  bytes: number;
  cancel: () => void;
}

export interface PrewarmedOptions {
  /** Of this incarnation: nothing here outlives it. */
  directory: string;
  clock: Clock;
  signal: AbortSignal;
  restore: (assignment: Assignment, directory: string) => Promise<RestoredTenant>;
  catchUp: (assignment: Assignment, copy: RestoredTenant, directory: string) => Promise<RestoredTenant>;
}

/**
 * Tenants that another worker still serves, as far as their prefixes go: fetched before a move, so that the move itself needs the
 * difference only. Never more than a cache: a copy counts when the files from its TXIDs on lead to exactly the base of the assignment,
 * and else it is thrown away. Bounded in number, bytes and time.
 */
export class Prewarmed {
  readonly #options: PrewarmedOptions;
  readonly #copies = new Map<TenantId, Copy>();
  readonly #fetching = new Map<TenantId, Promise<void>>();
  readonly counts = { fetched: 0, used: 0, discarded: 0 };

  constructor(options: PrewarmedOptions) {
    this.#options = options;
  }

  /**
   * Fetches what is under the prefix. Asked twice at a time it works once; asked again it fetches anew.
   * @throws SystemError `overloaded` when too many are being fetched; what a restore throws
   */
  fetch(assignment: Assignment): Promise<void> {
    const { tenant } = assignment;
    const running = this.#fetching.get(tenant);
    if (running !== undefined) return running;
    if (this.#fetching.size >= limits.prewarmsParallel) {
      throw new SystemError(
        "overloaded",
        `Cannot prewarm tenant ${tenant}: enough others are being fetched`,
        {
          retryAfterMs: 1_000,
        },
      );
    }
    const fetching = this.#fetch(assignment).finally(() => this.#fetching.delete(tenant));
    this.#fetching.set(tenant, fetching);
    return fetching;
  }

  /** What is here of the tenant, brought to exactly what was assigned, in `directory`; undefined when that is not possible. */
  async take(assignment: Assignment, directory: string): Promise<RestoredTenant | undefined> {
    const { tenant, tails } = assignment;
    const copy = this.#copies.get(tenant);
    if (copy === undefined) return undefined;
    this.#forget(tenant, copy);
    try {
      if (tails.length > 0)
        throw new SystemError("chain_gap", "Cannot use a copy: logs hold more of the tenant");
      rmSync(directory, { recursive: true, force: true });
      renameSync(this.#path(tenant), directory);
      const caughtUp = await this.#options.catchUp(assignment, moved(copy.restored, directory), directory);
      this.counts.used++;
      return caughtUp;
    } catch {
      // Whatever is wrong with it, a restore needs nothing of it.
      this.counts.discarded++;
      rmSync(this.#path(tenant), { recursive: true, force: true });
      return undefined;
    }
  }

  async #fetch(assignment: Assignment): Promise<void> {
    const { clock, restore } = this.#options;
    const { tenant } = assignment;
    const path = this.#path(tenant);
    const before = this.#copies.get(tenant);
    if (before !== undefined) this.#drop(tenant, before);
    mkdirSync(join(this.#options.directory, FOLDER), { recursive: true });
    let restored: RestoredTenant;
    try {
      restored = await restore({ ...assignment, tails: [] }, path);
      this.#options.signal.throwIfAborted();
    } catch (error) {
      rmSync(path, { recursive: true, force: true });
      throw error;
    }
    const cancel = clock.after(limits.prewarmedKeepMs, () => this.#drop(tenant, copy));
    const copy: Copy = { restored, bytes: bytesOf(restored), cancel };
    this.#copies.set(tenant, copy);
    this.counts.fetched++;
    this.#shrink();
  }

  /** The oldest go first. */
  #shrink(): void {
    let bytes = 0;
    for (const copy of this.#copies.values()) bytes += copy.bytes;
    for (const [tenant, copy] of this.#copies) {
      if (this.#copies.size <= limits.prewarmedTenantsMax && bytes <= limits.prewarmedBytesMax) return;
      bytes -= copy.bytes;
      this.#drop(tenant, copy);
    }
  }

  #drop(tenant: TenantId, copy: Copy): void {
    if (this.#copies.get(tenant) !== copy) return;
    this.#forget(tenant, copy);
    this.counts.discarded++;
    rmSync(this.#path(tenant), { recursive: true, force: true });
  }

  #forget(tenant: TenantId, copy: Copy): void {
    copy.cancel();
    this.#copies.delete(tenant);
  }

  #path(tenant: TenantId): string {
    return join(this.#options.directory, FOLDER, tenant);
  }
}

function moved(restored: RestoredTenant, directory: string): RestoredTenant {
  const databases = new Map<DatabaseName, RestoredDatabase>();
  for (const [name, one] of restored.databases) databases.set(name, { ...one, path: join(directory, name) });
  return { ...restored, databases };
}
