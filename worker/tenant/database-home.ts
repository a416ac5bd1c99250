import type { Epoch, TenantId } from "../../shared/ids.ts";
import type { Position } from "../../shared/protocol/internal.ts";
import type { Clock } from "../replication/clock.ts";
import type { EntryCiphers } from "../encryption/entry-ciphers.ts";
import type { OutputGate } from "../replication/gate.ts";
import type { DatabaseLedger } from "../replication/ledger.ts";
import type { SqlFunction } from "../sqlite/sql-function.ts";
import type { IdleLru } from "./idle-lru.ts";
import type { TenantQuota } from "./quota.ts";
import type { WriteLock } from "./write-lock.ts";

/** What a database needs of its tenant and of the worker. */
export interface DatabaseHome {
  readonly id: TenantId;
  readonly epoch: Epoch;
  readonly durability: "durable" | "async";
  readonly lock: WriteLock;
  readonly gate: OutputGate;
  readonly clock: Clock;
  /** Writers of `data.db` that do not rest. */
  readonly awake: IdleLru;
  readonly readers: IdleLru;
  /** Writers of `data.db` with page caches and statements. */
  readonly warm: IdleLru;
  /** Writers of the other databases. */
  readonly secondaries: IdleLru;
  readonly functions: readonly SqlFunction[];
  readonly ciphers: EntryCiphers;
  readonly quota: TenantQuota | undefined;
  /** A process commits to one of the tenant's databases: its cut waits. */
  commitsElsewhere: boolean;
  /** @throws the reason when the tenant is lost */
  checkHere(): void;
  /** @throws when no new writes are taken: the tenant leaves */
  checkWritable(): void;
  /** A database has something for the log; when nobody waits for that, it may go a moment later. */
  dirty(isAwaited: boolean): void;
  /** What was committed here cannot be captured: the tenant must stop. */
  broken(error: unknown): void;
  /** An effect that nobody waits for has failed. */
  effectFailed(error: unknown): void;
}

export interface LoadedFrom {
  path: string;
  position: Position;
  /** The hash chain of this epoch so far. */
  entryHash: string;
  timestampMs: number;
  ledger: DatabaseLedger;
}
