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

export const blockKey = (block: number): string => `control/blocks/${block.toString(16).padStart(8, "0")}`;
