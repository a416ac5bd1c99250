/**
 * Every key of the object store, in one place. All keys are relative to the operator's prefix, which the driver adds.
 */
import {
  type DatabaseName,
  type Epoch,
  type Incarnation,
  type LogSeq,
  type TenantId,
  type Txid,
  hex16,
} from "../ids.ts";

export const logPrefix = (incarnation: Incarnation): string => `workers/${hex16(incarnation)}/log/`;
export const logKey = (incarnation: Incarnation, seq: LogSeq): string =>
  `${logPrefix(incarnation)}${hex16(seq)}.wlog`;

export const tenantPrefix = (tenant: TenantId): string => `tenants/${tenant}/`;
export const ltxPrefix = (tenant: TenantId, database: DatabaseName): string =>
  `${tenantPrefix(tenant)}litestream/${database}/`;

/** Levels 0..8 are increments, 9 is snapshots; the names are stock Litestream 0.5's. */
export const ltxKey = (
  tenant: TenantId,
  database: DatabaseName,
  level: number,
  minTxid: Txid,
  maxTxid: Txid,
): string =>
  `${ltxPrefix(tenant, database)}${level.toString(16).padStart(4, "0")}/${hex16(minTxid)}-${hex16(maxTxid)}.ltx`;

/** A database's flushes one by one, between the TXIDs of a file of level 1. */
export const bundlePrefix = (tenant: TenantId, database: DatabaseName): string =>
  `${tenantPrefix(tenant)}flushes/${database}/`;
export const bundleKey = (tenant: TenantId, database: DatabaseName, minTxid: Txid, maxTxid: Txid): string =>
  `${bundlePrefix(tenant, database)}${hex16(minTxid)}-${hex16(maxTxid)}.bundle`;

/** Lists of objects that are about to be deleted, by who owned the tenant. */
export const condemnedPrefix = (tenant: TenantId): string => `${tenantPrefix(tenant)}condemned/`;
export const condemnedKey = (tenant: TenantId, epoch: Epoch, nonce: string): string =>
  `${condemnedPrefix(tenant)}${hex16(epoch)}-${nonce}.json`;

/** Lists of uploads that no record names any more. They go when no restorable point can name them. */
export const droppedPrefix = (tenant: TenantId): string => `${tenantPrefix(tenant)}dropped/`;
export const droppedKey = (tenant: TenantId, nonce: string): string =>
  `${droppedPrefix(tenant)}${nonce}.json`;
/** Written when all records were replaced: what was dropped before may have been named again until then. */
export const replacedKey = (tenant: TenantId): string => `${droppedPrefix(tenant)}replaced`;
/** Written when all uploads were compared with what records name. */
export const sweptKey = (tenant: TenantId): string => `${droppedPrefix(tenant)}swept`;

export const SNAPSHOT_LEVEL = 9;

export const largeKey = (tenant: TenantId, incarnation: Incarnation, nonce: string): string =>
  `${tenantPrefix(tenant)}large/${hex16(incarnation)}-${nonce}`;

export const storagePrefix = (tenant: TenantId): string => `${tenantPrefix(tenant)}storage/`;
/** An upload; the caller has parsed collection id, record id and file name. */
export const storageKey = (tenant: TenantId, collectionId: string, recordId: string, file: string): string =>
  `${storagePrefix(tenant)}${collectionId}/${recordId}/${file}`;

export const backupsPrefix = (tenant: TenantId): string => `backups/${tenant}/`;
/** The caller has parsed the name, `.zip` included. */
export const backupKey = (tenant: TenantId, name: string): string => `${backupsPrefix(tenant)}${name}`;

/** Says that a branch reads of this tenant's prefix; written by its owner before the branch exists, removed when it does not any more. */
export const pinsPrefix = (tenant: TenantId): string => `${tenantPrefix(tenant)}pins/`;
export const pinKey = (tenant: TenantId, branch: TenantId): string => `${pinsPrefix(tenant)}${branch}.json`;

/** The tenant's wrapped data keys, by version from 1. */
export const dataKeysPrefix = (tenant: TenantId): string => `${tenantPrefix(tenant)}keys/`;
export const dataKeyKey = (tenant: TenantId, version: number): string =>
  `${dataKeysPrefix(tenant)}${version.toString(16).padStart(8, "0")}`;

/** What control knows of a tenant, one record per change; the highest revision wins, and a deletion is a record too. */
export const metadataPrefix = (tenant: TenantId): string => `${tenantPrefix(tenant)}metadata/`;
export const metadataKey = (tenant: TenantId, block: number, revision: number): string =>
  `${metadataPrefix(tenant)}${block.toString(16).padStart(8, "0")}-${hex16(revision)}.json`;

/** Copies of control's whole state, newest last. */
export const controlSnapshotsPrefix = "control/snapshots/";
export const controlSnapshotKey = (block: number, revision: number): string =>
  `${controlSnapshotsPrefix}${block.toString(16).padStart(8, "0")}-${hex16(revision)}.jsonl.zst`;

/** One folder per incarnation that was ever given away. */
export const workersPrefix = "workers/";
/** Written before a worker hears its number: who lists `workers/` finds every log that can ever be written. */
export const registeredKey = (incarnation: Incarnation): string =>
  `${workersPrefix}${hex16(incarnation)}/registered`;
/** Nobody needs anything of this dead log any more: its objects may be gone, or going. */
export const retiredKey = (incarnation: Incarnation): string =>
  `${workersPrefix}${hex16(incarnation)}/retired`;

/** What a restore of control gave up, by the block of numbers that it had claimed for that. Never deleted: later restores need it. */
export const lossReportsPrefix = "control/restores/";
export const lossReportKey = (block: number): string =>
  `${lossReportsPrefix}${block.toString(16).padStart(8, "0")}.json`;
/** Objects of the tenant that lie beyond a hole, moved away by that restore; the rest of the key as it was. */
export const lostPrefix = (tenant: TenantId, block: number): string =>
  `${tenantPrefix(tenant)}lost/${block.toString(16).padStart(8, "0")}/`;

export const blockKey = (block: number): string => `control/blocks/${block.toString(16).padStart(8, "0")}`;
