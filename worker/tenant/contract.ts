/**
 * What features (the PocketBase API and all that follows) see of a tenant. Implemented by worker/tenant over worker/replication
 * and worker/sqlite; a test of a feature uses the same implementation on a temporary directory and a file store.
 */
import type { DatabaseName, Epoch, Slug, TenantId } from "../../shared/ids.ts";
import type { DataEntry } from "../../shared/log/log.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Origin, Positions } from "../../shared/protocol/internal.ts";
import type { Clock } from "../replication/clock.ts";
import type { SqlReader, SqlWriter } from "../sqlite/contract.ts";
import type { CarriedValue } from "../state/carried-values.ts";

/**
 * What one request (or realtime message, or job) has seen. It must not leave the process before all of that is durable
 * (replication.md §4). Every read and write notes the newest commit of the database that it touched.
 */
export interface Observation {
  /** Resolves when everything noted so far is durable (at once when nothing is pending); rejects with SystemError when it cannot be. */
  settled(signal?: AbortSignal): Promise<void> | void;
  /** Response headers that tell the position: x-txid, x-durable. Call after settled. */
  headers(): Record<string, string>;
}

/** A transaction on the writer connection. Nothing else of the tenant sees its rows before the commit. */
export interface WriteTransaction extends SqlWriter {
  /** Runs in the same turn right after COMMIT, in order; dropped by a rollback. For caches and for evaluating rules on the new rows. */
  afterCommit(effect: () => void): void;
  /** Runs when the commit is durable; dropped by a rollback, or when the tenant is lost before. For messages, mails, deletions of files. */
  afterDurable(effect: () => void | Promise<void>): void;
  /**
   * The commit fails with UserError `storage_full` when it would leave a tenant that has grown by it above its storage quota.
   * @param uploadBytes - by which this changes what records name of uploads; negative when they let go
   */
  withinQuota(uploadBytes?: number): void;
  /** A nested transaction (SAVEPOINT) whose effects join this one's; rolled back alone when fn throws. */
  nested<T>(fn: () => T): T;
}

/** A database file that another process of ours may write to, while the tenant's write lock is held. */
export interface LentFile {
  readonly path: string;
  /**
   * Lets the other process COMMIT: `send` asks it to and resolves when it has; rejects when it failed or is gone for sure. Nothing
   * but this may commit. @param effect - follows the commit in the same turn. @throws what `send` did, if nothing was committed
   */
  commit: (send: () => Promise<void>, effect?: () => void) => Promise<void>;
}

/** While somebody else reads a database's file, which is there as a whole until `left`. */
export interface FileVisit {
  readonly path: string;
  left: () => void;
}

export interface TenantDatabase {
  readonly name: DatabaseName;
  /** On the read-only connection: the newest commit, never an open transaction. */
  read<T>(seen: Observation, fn: (db: SqlReader) => T): T;
  /**
   * Takes the tenant's write lock (waits its turn, bounded), BEGIN IMMEDIATE, fn, COMMIT; any throw rolls back and is rethrown.
   * When the lock is free and fn is synchronous the whole runs in one turn and the result is not a promise.
   */
  write<T>(seen: Observation, fn: (tx: WriteTransaction) => T): T | Promise<Awaited<T>>;
  /**
   * As `write`, for a function that takes no time and may be run again: those that come in one turn share a transaction, in which
   * one that throws is undone alone. Settles when all of it is committed.
   */
  writeTogether<T>(seen: Observation, fn: (tx: WriteTransaction) => T): Promise<Awaited<T>>;
  /**
   * Takes the tenant's write lock and lends the file to a process that can be killed. When `fn` has settled that process has no
   * transaction open any more.
   */
  lend<T>(seen: Observation, fn: (file: LentFile) => Promise<T>): Promise<T>;
  /** What was read until now is not read again soon: its pages and statements need not be kept. */
  rest(): void;
  /** How long it is as of the newest commit. */
  readonly bytes: number;
  /** For a process or a thread of ours that reads the file; note what it saw by `read` before it has left. */
  visit(): FileVisit;
}

/** What restoring and branching need of the tenant's replication; see worker/points. */
export interface TenantHistory {
  /** Where a branch came from, while it still needs what is there. */
  readonly origin: Origin | undefined;
  /** A branch has copied all that it needs. */
  detached(): void;
  readonly encrypted: boolean;
  readonly clock: Clock;
  /** As `objects`, without what a branch sees of its origin. */
  readonly store: ObjectStore;
  /** The newest TXID of each database. */
  captured(): Positions;
  /** An entry of this tenant's bundles as it knows it. @throws SystemError `object_corrupt` */
  open(entry: DataEntry): DataEntry;
  /** What is committed now lies under the prefix when this resolves, on a snapshot of the tenant's own. */
  materialise(): Promise<void>;
  /** Runs while no maintenance of this tenant does: nothing is condemned meanwhile. */
  undisturbed<T>(work: () => Promise<T>): Promise<T>;
  /** Keys that a durable record gives up. */
  condemned(signal: AbortSignal): Promise<ReadonlySet<string>>;
  /** Resolves when a PUT to the own log made from now on has succeeded: nobody had taken the tenant over. */
  prove(): Promise<void>;
}

/** What a tenant may store: databases and the uploads that its records name. History, backups and thumbs do not count. */
export interface StorageQuota {
  readonly bytesMax: number;
  /** Of uploads, as of the newest commit; kept by worker/pb/records/upload-sizes.ts. */
  uploadBytes: number;
  databaseBytes(): number;
}

/** One tenant that this worker owns and has loaded. */
export interface Tenant {
  readonly id: TenantId;
  readonly slug: Slug;
  readonly epoch: Epoch;
  readonly data: TenantDatabase;
  /** Opens (or creates) another of the tenant's databases, e.g. auxiliary.db. */
  database(name: DatabaseName): TenantDatabase;
  readonly quota: StorageQuota | undefined;
  /** Made for each request or job. */
  observe(): Observation;
  /** A directory of this worker for files on their way; what a crash leaves in it is removed when a worker starts. */
  readonly temporary: string;
  /** The platform's object store, for uploads under this tenant's prefix (shared/objects/layout.ts). */
  readonly objects: ObjectStore;
  /** Points in time and branches. */
  readonly history: TenantHistory;
  /**
   * When it must be awake next, Unix ms, as the owner before told it; then as `wakeAt` says. A time that has passed at the load is
   * this owner's to make up for.
   */
  readonly dueMs: number | undefined;
  /** Control wakes the tenant then, should nobody have it loaded; undefined: it need not. Cheap when nothing changes. */
  wakeAt(dueMs: number | undefined): void;
  /**
   * Small state that is not worth a write: its next owner has it too, at most about a second old when this one died (worker/state).
   * `save` is asked when the tenant leaves, and soon after each `changed`.
   */
  carry(name: string, save: () => string | undefined): CarriedValue;
  /** Aborted when the tenant leaves this worker (moved, evicted, fenced): streams end, loops stop. */
  readonly gone: AbortSignal;
  /** Replaces whole databases by the given SQLite files, under the write lock, as one new TXID each: fenced and undoable. */
  replaceDatabases(seen: Observation, files: ReadonlyMap<DatabaseName, string>): Promise<void>;
  /** Called after replaceDatabases, in the same turn: caches over the old content are dropped here. */
  onReplaced(listener: () => void): void;
  /** State of features that lives as long as the loaded tenant; made at most once per key. */
  slot<T>(key: { readonly create: (tenant: Tenant) => T }): T;
}
