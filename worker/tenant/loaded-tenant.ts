import { join } from "node:path";
import { SystemError } from "../../shared/errors.ts";
import {
  DATA_DB,
  type DatabaseName,
  type Epoch,
  type Incarnation,
  type Slug,
  type TenantId,
  type Txid,
} from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Assignment, Due, Origin, Position, Positions } from "../../shared/protocol/internal.ts";
import type { Clock } from "../replication/clock.ts";
import type { EntryCiphers } from "../encryption/entry-ciphers.ts";
import type { OutputGate } from "../replication/gate.ts";
import { DatabaseLedger, emptyChain } from "../replication/ledger.ts";
import type { RestoredTenant } from "../replication/restore.ts";
import type { SqlFunction } from "../sqlite/sql-function.ts";
import { branchStore } from "../points/branch-store.ts";
import type { Observation, Tenant, TenantDatabase, TenantHistory } from "./contract.ts";
import type { DatabaseHome } from "./database-home.ts";
import { LoadedDatabase } from "./loaded-database.ts";
import type { IdleLru } from "./idle-lru.ts";
import { RequestObservation } from "./observation.ts";
import { TenantQuota } from "./quota.ts";
import { type CarriedValue, CarriedValues } from "../state/carried-values.ts";
import { WriteLock } from "./write-lock.ts";

/** What a loaded tenant needs of its worker. */
export interface TenantHome {
  readonly clock: Clock;
  readonly gate: OutputGate;
  readonly objects: ObjectStore;
  readonly temporary: string;
  readonly functions: readonly SqlFunction[];
  readonly ciphers: EntryCiphers;
  readonly awake: IdleLru;
  readonly readers: IdleLru;
  readonly warm: IdleLru;
  readonly secondaries: IdleLru;
  dirty(tenant: LoadedTenant, isAwaited: boolean): void;
  /** It must be awake at another time than control knows. */
  dueChanged(tenant: LoadedTenant): void;
  carriedChanged(tenant: LoadedTenant): void;
  broken(tenant: LoadedTenant, error: unknown): void;
  effectFailed(error: unknown, tenant: TenantId): void;
  history(tenant: LoadedTenant): TenantHistory;
  replaceDatabases(
    tenant: LoadedTenant,
    seen: Observation,
    files: ReadonlyMap<DatabaseName, string>,
  ): Promise<void>;
}

export interface ResumedPositions {
  positions: ReadonlyMap<DatabaseName, Position>;
  /** Where the next entry hash of each database goes on: at "" for as long as nothing was logged of it under this epoch. */
  chains: ReadonlyMap<DatabaseName, string>;
}

export class LoadedTenant implements Tenant, DatabaseHome {
  readonly id: TenantId;
  readonly slug: Slug;
  readonly epoch: Epoch;
  readonly durability: "durable" | "async";
  readonly lock: WriteLock;
  readonly gate: OutputGate;
  readonly clock: Clock;
  readonly functions: readonly SqlFunction[];
  readonly ciphers: EntryCiphers;
  readonly awake: IdleLru;
  readonly readers: IdleLru;
  readonly warm: IdleLru;
  readonly secondaries: IdleLru;
  readonly objects: ObjectStore;
  readonly temporary: string;
  readonly origin: Origin | undefined;
  readonly encrypted: boolean;
  readonly history: TenantHistory;
  readonly quota: TenantQuota | undefined;
  readonly directory: string;
  readonly databases = new Map<DatabaseName, LoadedDatabase>();
  /** Tails of the assignment that control may forget once their entries are under the prefix. */
  tailsToClear: readonly Incarnation[];
  /** A large entry is on its way to the store: later cuts must come after it in the log. */
  uploading: Promise<void> | undefined;
  commitsElsewhere = false;
  /** Loaded and bootstrapped: requests may have it. */
  ready = false;
  readonly carried: CarriedValues;
  /** TXIDs that were loaded, and the hash chains of this epoch there. */
  readonly #loadedAt = new Map<DatabaseName, Position>();
  readonly #home: TenantHome;
  readonly #gone = new AbortController();
  readonly #slots = new Map<object, unknown>();
  readonly #replacedListeners: (() => void)[] = [];
  #dueMs: number | undefined;
  #dueChanged = false;
  #leaving = false;
  #lost: SystemError | undefined;

  /** @param chains - of the same epoch, as `resumable` said, for a reload after a stop */
  constructor(
    home: TenantHome,
    assignment: Assignment,
    restored: Pick<RestoredTenant, "databases">,
    directory: string,
    chains: ReadonlyMap<DatabaseName, string>,
  ) {
    this.#home = home;
    this.id = assignment.tenant;
    this.slug = assignment.slug;
    this.epoch = assignment.epoch;
    this.durability = assignment.durability;
    this.#dueMs = assignment.dueMs;
    this.carried = new CarriedValues(assignment.carried, () => home.carriedChanged(this));
    this.clock = home.clock;
    this.gate = home.gate;
    this.functions = home.functions;
    this.ciphers = home.ciphers;
    this.awake = home.awake;
    this.readers = home.readers;
    this.warm = home.warm;
    this.secondaries = home.secondaries;
    this.origin = assignment.origin;
    this.encrypted = assignment.encrypted ?? false;
    this.objects = this.origin === undefined ? home.objects : branchStore(home.objects, this.id, this.origin);
    this.temporary = home.temporary;
    this.history = home.history(this);
    this.directory = directory;
    const { storageBytesMax } = assignment;
    this.quota =
      storageBytesMax === undefined
        ? undefined
        : new TenantQuota(storageBytesMax, () => this.databases.values());
    this.lock = new WriteLock(home.clock);
    this.tailsToClear = assignment.tails.map((tail) => tail.incarnation);
    for (const [name, { path, position, timestampMs, ledger }] of restored.databases) {
      const entryHash = chains.get(name) ?? "";
      this.#loadedAt.set(name, { txid: position.txid, entryHash });
      this.databases.set(
        name,
        new LoadedDatabase(name, this, { path, position, entryHash, timestampMs, ledger }),
      );
    }
  }

  get data(): TenantDatabase {
    return this.database(DATA_DB);
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  get lost(): SystemError | undefined {
    return this.#lost;
  }

  get leaving(): boolean {
    return this.#leaving;
  }

  get dueMs(): number | undefined {
    return this.#dueMs;
  }

  wakeAt(dueMs: number | undefined): void {
    if (dueMs === this.#dueMs) return;
    this.#dueMs = dueMs;
    this.#dueChanged = true;
    this.#home.dueChanged(this);
  }

  carry(name: string, save: () => string | undefined): CarriedValue {
    return this.carried.carry(name, save);
  }

  /** What control is told of it: nothing while it knows. */
  get due(): { dueMs?: Due } {
    return this.#dueChanged ? { dueMs: this.#dueMs ?? null } : {};
  }

  database(name: DatabaseName): LoadedDatabase {
    this.checkHere();
    let database = this.databases.get(name);
    if (database === undefined) {
      const position = { txid: 0 as Txid, entryHash: "" };
      const ledger = new DatabaseLedger(this.id, name, position, emptyChain());
      const path = join(this.directory, name);
      database = new LoadedDatabase(name, this, { path, position, entryHash: "", timestampMs: 0, ledger });
      this.databases.set(name, database);
    }
    return database;
  }

  observe(): Observation {
    return new RequestObservation(this.gate, () => this.#lost);
  }

  replaceDatabases(seen: Observation, files: ReadonlyMap<DatabaseName, string>): Promise<void> {
    return this.#home.replaceDatabases(this, seen, files);
  }

  onReplaced(listener: () => void): void {
    this.#replacedListeners.push(listener);
  }

  /** Tells everyone who keeps something of the old content. */
  replaced(): void {
    for (const listener of this.#replacedListeners) {
      try {
        listener();
      } catch (error) {
        this.effectFailed(error);
      }
    }
  }

  slot<T>(key: { readonly create: (tenant: Tenant) => T }): T {
    const known = this.#slots.get(key);
    if (known !== undefined || this.#slots.has(key)) return known as T;
    const made = key.create(this);
    this.#slots.set(key, made);
    return made;
  }

  checkHere(): void {
    if (this.#lost !== undefined) throw this.#lost;
  }

  checkWritable(): void {
    this.checkHere();
    if (this.#leaving) throw leavingError(this.id);
  }

  dirty(isAwaited: boolean): void {
    this.#home.dirty(this, isAwaited);
  }

  broken(error: unknown): void {
    this.#home.broken(this, error);
  }

  effectFailed(error: unknown): void {
    this.#home.effectFailed(error, this.id);
  }

  /** No new writes; resolves when those that wait are through, and keeps the lock. */
  async drain(): Promise<void> {
    this.#leaving = true;
    try {
      await this.lock.enter();
    } catch (error) {
      // Someone holds the lock for too long: then it stays, and whoever wanted it to leave must ask again.
      this.#leaving = false;
      throw error;
    }
  }

  /** After a `drain`: it serves and writes on. */
  stay(): void {
    if (!this.#leaving || this.#lost !== undefined) return;
    this.#leaving = false;
    this.lock.leave();
  }

  get isDirty(): boolean {
    for (const database of this.databases.values()) if (database.position.dirty) return true;
    return false;
  }

  /** Where each database is under the prefix. */
  base(): Positions {
    const base: Record<string, Position> = {};
    for (const [name, { ledger }] of this.databases) {
      if (ledger.materialised.txid > 0) base[name] = ledger.materialised;
    }
    return base;
  }

  /** What is durable of it, for a reload by this worker. */
  resumable(): ResumedPositions {
    const positions = new Map<DatabaseName, Position>();
    const chains = new Map<DatabaseName, string>();
    for (const [name, { position }] of this.databases) {
      const { durable } = position;
      if (durable.txid === 0) continue;
      const loaded = this.#loadedAt.get(name);
      positions.set(name, durable);
      // The hash of what was loaded is of an earlier epoch.
      chains.set(name, durable.txid === loaded?.txid ? loaded.entryHash : durable.entryHash);
    }
    return { positions, chains };
  }

  captured(): Positions {
    const positions: Record<string, Position> = {};
    for (const [name, { position }] of this.databases) {
      if (position.captured.txid > 0) positions[name] = position.captured;
    }
    return positions;
  }

  /** Closes everything at once. What waits is told `reason`; ledgers keep what is durable. */
  lose(reason: SystemError): void {
    if (this.#lost !== undefined) return;
    this.#lost = reason;
    this.lock.close(reason);
    for (const database of this.databases.values()) database.close(reason);
    this.#gone.abort(reason);
  }
}

export function leavingError(tenant: TenantId): SystemError {
  return new SystemError("tenant_moving", `Cannot write to tenant ${tenant}: it is leaving this worker`, {
    hint: "Nothing was changed; the next try finds its new place.",
    retryAfterMs: 1_000,
  });
}

export function stoppedError(): SystemError {
  return new SystemError("tenant_moving", "Cannot serve the tenant: this worker has stopped", {
    retryAfterMs: 1_000,
  });
}

/** Nobody waits longer than this for a tenant; its load goes on. @throws SystemError `tenant_loading` */
export function inTime<T>(clock: Clock, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(limits.tenantLoadMsMax, () =>
      reject(
        new SystemError("tenant_loading", "Cannot serve the tenant yet: it is being loaded", {
          retryAfterMs: 1_000,
        }),
      ),
    );
    work.then(resolve, reject).finally(cancel);
  });
}
