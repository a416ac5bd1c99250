import type { Epoch, Incarnation, LogSeq, TenantId } from "../../shared/ids.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Assignment, CarriedState, ExitRequest, Positions } from "../../shared/protocol/internal.ts";
import type { KeyProvider } from "../encryption/key-provider.ts";
import type { BulkWork } from "../replication/bulk/work.ts";
import type { Clock } from "../replication/clock.ts";
import type { AsyncLag } from "../replication/gate.ts";
import type { SqlFunction } from "../sqlite/sql-function.ts";
import type { ReplicationObserver } from "../replication/observer.ts";
import type { Tenant } from "./contract.ts";
import type { Report } from "./reports.ts";
import { WorkerTenantHost } from "./worker-tenant-host.ts";

/** What the host asks of control. */
export interface ControlPort {
  /** @returns undefined when control knows no such tenant, or gives it to nobody */
  assignment(tenant: TenantId, signal?: AbortSignal): Promise<Assignment | undefined>;
  report(reports: Report[]): Promise<void>;
  /** The lease holds. Called for each answer: must be cheap. */
  mayAnswer(): boolean;
}

export interface TenantHostOptions {
  /** For local files; nothing in it is needed after the process has ended. */
  directory: string;
  store: ObjectStore;
  /** Unwraps data keys; without it encrypted tenants are refused. */
  keyProvider?: KeyProvider | undefined;
  /** Of keys and nonces of encrypted tenants; the system's by default. */
  randomBytes?: (length: number) => Uint8Array;
  incarnation: Incarnation;
  /** 32 lower-case hex digits of this registration: the log writer's nonce. */
  nonce: string;
  control: ControlPort;
  /** Makes an empty database the product's, or upgrades an imported one; idempotent. Runs at each load and after an import. */
  bootstrap: (tenant: Tenant) => Promise<void>;
  sqlFunctions?: readonly SqlFunction[];
  /** Which of these uploads, keys of the object store, records name; without it no upload is ever removed. */
  namedUploads?: (tenant: Tenant, keys: readonly string[]) => ReadonlySet<string>;
  clock?: Clock;
  /** For histograms. */
  observer?: ReplicationObserver;
  /** For files too large for one turn of the event loop; the threads of the process by default. */
  bulkWork?: BulkWork;
  /** How many files the process may have open; found out when not given. */
  descriptors?: number;
  /** How far async tenants may be ahead of object storage. */
  asyncLag?: AsyncLag;
  /** For large objects' names; 32 lower-case hex digits, new at each call. */
  newNonce?: () => string;
  /** What nobody waits for has failed: an effect after a commit, a tenant that had to stop. */
  onError?: (error: unknown, tenant: TenantId) => void;
}

/** All tenants of one incarnation on this worker, and its commit log. */
export interface TenantHost {
  /**
   * The tenant, loaded. Synchronous when it is; concurrent callers share one load.
   * @throws UserError `not_owner` (details `{incarnation, epoch?}`); SystemError `tenant_loading`, `tenant_moving`, `fenced`,
   *   `overloaded`, and what a restore throws
   */
  acquire(tenant: TenantId, epoch: Epoch): Tenant | Promise<Tenant>;
  /** Loaded tenants. */
  readonly size: number;
  /** Newest slot of the own log that is known durable: for beats. */
  readonly durableSeq: LogSeq;
  /** Aborted when this incarnation is over; register anew and make a new host. */
  readonly fenced: AbortSignal;
  /** Brings what is durable under the prefix while the tenant serves on. @returns where that ends @throws UserError `not_owner` */
  flush(tenant: TenantId, epoch: Epoch): Promise<Positions>;
  /** Fetches another worker's tenant that is about to move here; it is not served before it is assigned. @throws as a restore does */
  prewarm(assignment: Assignment): Promise<void>;
  /** Drains, logs RELEASE, materialises, closes, removes local files. @returns where its databases are under the prefix */
  release(tenant: TenantId): Promise<Positions>;
  /** It is about to delete what was announced, within two hours: it should not be taken for idle until then. */
  isClearing(tenant: TenantId): boolean;
  /** What a tenant that has left takes along. */
  carriedBy(tenant: Tenant): { carried?: CarriedState };
  /** A clean exit: releases all, seals the own log. Control is told what this returns. @throws SystemError `fenced` */
  stop(): Promise<ExitRequest>;
  /** Closes everything at once and acknowledges nothing more: the incarnation is lost, or a test plays a kill. */
  abandon(): void;
  /** Snapshot of counters since the start, by name. */
  metrics(): Record<string, number>;
}

/** @throws UserError `invalid_directory` */
export function createTenantHost(options: TenantHostOptions): TenantHost {
  return new WorkerTenantHost(options);
}
