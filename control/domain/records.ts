/** What control keeps in its replicated store, by key (keys.ts). Values are JSON. */
import type { Epoch, Incarnation, LogSeq, Slug, TenantId } from "../../shared/ids.ts";
import type { StorageClass } from "../../shared/objects/contract.ts";
import type { OPERATOR_SCOPES, WorkerView } from "../../shared/protocol/cp.ts";
import type {
  CarriedState,
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
  "archive",
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

export interface Archive {
  /** ISO 8601. */
  at: string;
  storageClass: StorageClass;
  /** What its objects are doing: going to the class, there, or coming back. */
  step: "freezing" | "frozen" | "thawing";
  /** ISO 8601: when thawing was asked for. */
  since?: string;
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
  /** Unix ms: when it must be awake next, as its last owner told. */
  dueMs?: number;
  /** What its last owner handed over, until the next one serves it. */
  carried?: CarriedState;
  /** What gateways enforce for it. */
  limits?: RouteLimits;
  /** Verified custom host names. */
  domains?: string[];
  /** Custom host names that wait for their DNS record, see control/domains. */
  domainClaims?: string[];
  /** Only while there is an owner. */
  transfer?: Transfer;
  /** Only in state `deleted`. */
  deletion?: Deletion;
  /** In state `archived`, and in `deleted` of one that was archived before. */
  archive?: Archive;
  /** Where it is placed when a worker there has room. */
  region?: string;
  /** ISO 8601. */
  created: string;
  updated: string;
}

/** A custom host name: whose it is, or who may prove that it is. */
export interface DomainRecord {
  /** Lower case A-labels, no dot at the end. */
  domain: string;
  tenant: TenantId;
  /** What the TXT record of `_manybase.<domain>` must hold. Public. */
  token: string;
  /** ISO 8601. */
  created: string;
  /** ISO 8601; absent while it is only claimed. */
  verified?: string;
}

/**
 * A pin under a tenant's prefix that no branch stands for: not yet (the branch is being made), or not any more. Written before the
 * pin, and together with the end of a branch's need for it; gone together with the branch's record, or after the pin.
 */
export interface PinRecord {
  branch: TenantId;
  parent: TenantId;
  atMs: number;
  /** The pin is being removed: no branch may come of it. */
  removing?: true;
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
  /** ISO 8601: an operator has removed it. It is forgotten when its log has been deleted, which goes by its seal. */
  removed?: string;
}

/** The end of a log, a fact of the object store that control repeats (replication.md §5). */
export interface SealRecord {
  endSeq: LogSeq;
  /** ISO 8601: since when no tenant names the log. */
  unnamed?: string;
  /** ISO 8601: when its objects were deleted, all but what a sealer needs. */
  cleared?: string;
}

/** What the object store holds of a tenant's metadata, so that a new leader writes only what is missing. */
export interface MetadataRow {
  /** Of what the newest record says. */
  digest: string;
  /** Names of the records that are kept, oldest first. */
  keys: string[];
  /** ISO 8601: the tenant was purged; the newest record says so. */
  gone?: string;
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

/** A member of control, by the id that its store gives it. */
export interface ReplicaRecord {
  /** Of the release that it ran when it started last. */
  version: string;
}

export interface ClusterRecord {
  id: string;
  created: string;
}
