/** What control keeps in its replicated store, by key (keys.ts). Values are JSON. */
import type { Epoch, Incarnation, LogSeq, Slug, TenantId } from "../../shared/ids.ts";
import type { OPERATOR_SCOPES, WorkerView } from "../../shared/protocol/cp.ts";
import type {
  Durability,
  Origin,
  Positions,
  RouteLimits,
  Tail,
  TenantState,
} from "../../shared/protocol/internal.ts";

export const TRANSFER_REASONS = [
  "move",
  "drain",
  "rebalance",
  "evict",
  "idle",
  "suspend",
  "delete",
  "update",
] as const;
export type TransferReason = (typeof TRANSFER_REASONS)[number];

/**
 * The tenant is on its way from its owner to another worker or to nobody. As soon as this is written the owner may have
 * released it, so it ends in one of two ways only: another owner, or the same one with the next epoch.
 */
export interface Transfer {
  /** Names this attempt. */
  id: string;
  /** Absent: to nobody. The owner itself: it loads anew. */
  to?: Incarnation;
  why: TransferReason;
  /** ISO 8601. */
  started: string;
}

export interface Deletion {
  at: string;
  /** Recoverable until then. */
  until: string;
  /** Its objects may be gone already: nothing brings it back. */
  purging?: true;
}

export interface TenantRecord {
  id: TenantId;
  slug: Slug;
  state: TenantState;
  suspended: boolean;
  durability: Durability;
  /** 0 until the first owner; +1 at every change of owner. */
  epoch: Epoch;
  owner?: { incarnation: Incarnation };
  /** A load that ends below this has lost something. */
  base: Positions;
  /** Sealed logs that may hold entries above `base`, oldest first. */
  tails: Tail[];
  /** Nothing is known to lie under the tenant's prefix: a load that finds nothing may create. */
  virgin: boolean;
  /** From its creation on or never: see worker/encryption. */
  encrypted?: true;
  /** A branch that still reads of another tenant's prefix. */
  origin?: Origin;
  /** Most bytes of databases and uploads together. */
  storageBytesMax?: number;
  /** What gateways enforce for it. */
  limits?: RouteLimits;
  /** Verified custom host names. */
  domains?: string[];
  /** Only while there is an owner. */
  transfer?: Transfer;
  /** Only in state `deleted`. */
  deletion?: Deletion;
  /** ISO 8601. */
  created: string;
  updated: string;
}

export type WorkerState = WorkerView["state"];

export interface WorkerRecord {
  incarnation: Incarnation;
  url: string;
  nonce: string;
  state: WorkerState;
  region?: string;
  version: string;
  registered: string;
  /** When `state` was entered. */
  changed: string;
  /** An operator wants it empty: control moves its tenants. A worker that stops by itself is `draining` without this. */
  drain?: { started: string };
  /** Highest slot of its log known durable when it died: where a sealer starts to look. */
  seq?: LogSeq;
}

/** The end of a log, a fact of the object store that control repeats (replication.md §5). */
export interface SealRecord {
  endSeq: LogSeq;
}

/** The newest block of incarnation numbers whose claim was intended, and how many of it are given away. */
export interface BlocksRecord {
  block: number;
  used: number;
}

/** `read`: views. `write`: changes, also of tokens with no more scopes than its own. `tenant-admin`: acts inside a tenant (tickets, superusers). */
export type OperatorScope = (typeof OPERATOR_SCOPES)[number];

export interface TokenRecord {
  name: string;
  scopes: OperatorScope[];
  created: string;
}

export interface IdempotencyRecord {
  /** Digest of the request that used the key. */
  request: string;
  tenant: TenantId;
  atMs: number;
}

export interface AuditRecord {
  at: string;
  /** `operator:<token name>`, `worker:<incarnation>` or `control`. */
  who: string;
  action: string;
  subject: string;
  details: Record<string, unknown>;
}

export interface ClusterRecord {
  id: string;
  created: string;
}
