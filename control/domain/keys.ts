/** Every key of control's store. A key knows the type of its record, so that reads and writes agree. */
import { type Incarnation, type Slug, type TenantId, hex16 } from "../../shared/ids.ts";
import type {
  AuditRecord,
  BlocksRecord,
  ClusterRecord,
  IdempotencyRecord,
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
/** Sorts by time. */
export const auditKey = (atMs: number, id: string): Key<AuditRecord> =>
  `${PREFIXES.audit}${hex16(atMs)}-${id}` as Key<AuditRecord>;
