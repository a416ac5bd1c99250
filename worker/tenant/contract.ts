/**
 * What features (the PocketBase API and all that follows) see of a tenant. Implemented by worker/tenant over worker/replication
 * and worker/sqlite; a test of a feature uses the same implementation on a temporary directory and a file store.
 */
import type { DatabaseName, Epoch, Slug, TenantId } from "../../shared/ids.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { SqlReader, SqlWriter } from "../sqlite/contract.ts";

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
  /** A nested transaction (SAVEPOINT) whose effects join this one's; rolled back alone when fn throws. */
  nested<T>(fn: () => T): T;
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
}

/** One tenant that this worker owns and has loaded. */
export interface Tenant {
  readonly id: TenantId;
  readonly slug: Slug;
  readonly epoch: Epoch;
  readonly data: TenantDatabase;
  /** Opens (or creates) another of the tenant's databases, e.g. auxiliary.db. */
  database(name: DatabaseName): TenantDatabase;
  /** Made for each request or job. */
  observe(): Observation;
  /** The platform's object store, for uploads under this tenant's prefix (shared/objects/layout.ts). */
  readonly objects: ObjectStore;
  /** Aborted when the tenant leaves this worker (moved, evicted, fenced): streams end, loops stop. */
  readonly gone: AbortSignal;
  /** Replaces whole databases by the given SQLite files, under the write lock, as one new TXID each: fenced and undoable. */
  replaceDatabases(seen: Observation, files: ReadonlyMap<DatabaseName, string>): Promise<void>;
  /** Called after replaceDatabases, in the same turn: caches over the old content are dropped here. */
  onReplaced(listener: () => void): void;
  /** State of features that lives as long as the loaded tenant; made at most once per key. */
  slot<T>(key: { readonly create: (tenant: Tenant) => T }): T;
}
