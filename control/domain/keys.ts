/** Every key of control's store. A key knows the type of its record, so that reads and writes agree. */
import { type Incarnation, type Slug, type TenantId, hex16 } from "../../shared/ids.ts";
import type {
  AuditRecord,
  BlocksRecord,
  ClusterRecord,
  DomainRecord,
  IdempotencyRecord,
  ReplicaRecord,
  PinRecord,
  MetadataRow,
  SealRecord,
  TenantRecord,
  TokenRecord,
  WorkerRecord,
} from "./records.ts";

declare const record: unique symbol;
/** A store key whose value is a T. */
export type Key<T> = string & { readonly [record]: T };

export const PREFIXES = {
  tenant: "tenant/",
  slug: "slug/",
  worker: "worker/",
  audit: "audit/",
  token: "token/",
  idempotency: "idempotency/",
  domain: "domain/",
  pin: "pin/",
  metadata: "metadata/",
} as const;

export const CLUSTER = "cluster" as Key<ClusterRecord>;
export const BLOCKS = "blocks" as Key<BlocksRecord>;

export const tenantKey = (id: TenantId): Key<TenantRecord> => `${PREFIXES.tenant}${id}` as Key<TenantRecord>;
export const slugKey = (slug: Slug): Key<TenantId> => `${PREFIXES.slug}${slug}` as Key<TenantId>;
export const workerKey = (incarnation: Incarnation): Key<WorkerRecord> =>
  `${PREFIXES.worker}${hex16(incarnation)}` as Key<WorkerRecord>;
/** The registration that a nonce made. */
export const nonceKey = (nonce: string): Key<Incarnation> => `nonce/${nonce}` as Key<Incarnation>;
export const sealKey = (incarnation: Incarnation): Key<SealRecord> =>
  `seal/${hex16(incarnation)}` as Key<SealRecord>;
export const tokenKey = (sha256: string): Key<TokenRecord> =>
  `${PREFIXES.token}${sha256}` as Key<TokenRecord>;
/** `digest` covers the caller and the key that it chose. */
export const idempotencyKey = (digest: string): Key<IdempotencyRecord> =>
  `${PREFIXES.idempotency}${digest}` as Key<IdempotencyRecord>;
/** A custom host name, in lower case A-labels. */
export const domainKey = (domain: string): Key<DomainRecord> =>
  `${PREFIXES.domain}${domain}` as Key<DomainRecord>;
/** Of the branch that a pin was made for. */
export const pinRecordKey = (branch: TenantId): Key<PinRecord> =>
  `${PREFIXES.pin}${branch}` as Key<PinRecord>;
/** Sorts by time. */
export const auditKey = (atMs: number, id: string): Key<AuditRecord> =>
  `${PREFIXES.audit}${hex16(atMs)}-${id}` as Key<AuditRecord>;
/** What a member of control says of itself. */
export const replicaKey = (id: string): Key<ReplicaRecord> => `replica/${id}` as Key<ReplicaRecord>;
/** Which metadata record of a tenant is in the object store. */
export const metadataRowKey = (id: TenantId): Key<MetadataRow> =>
  `${PREFIXES.metadata}${id}` as Key<MetadataRow>;
