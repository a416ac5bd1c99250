import { SystemError } from "../../shared/errors.ts";
import { type DatabaseName, type TenantId, type Txid, parseDatabaseName } from "../../shared/ids.ts";
import type { ObjectStore, RequestOptions } from "../../shared/objects/contract.ts";
import { SNAPSHOT_LEVEL, tenantPrefix } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";

/** One LTX file as its key and the listing tell it. */
export interface ChainFile {
  key: string;
  level: number;
  minTxid: Txid;
  maxTxid: Txid;
  size: number;
  /** By the store's clock. */
  modifiedMs: number;
}

/** Holds every page: from TXID 1 on, at whatever level it stands. */
export const isSnapshot = ({ level, minTxid }: Pick<ChainFile, "level" | "minTxid">): boolean =>
  level === SNAPSHOT_LEVEL || minTxid === 1;

/** What a key below `litestream/` says; undefined for none of ours. */
export function parseChainKey(
  name: string,
): { database: DatabaseName; level: number; minTxid: Txid; maxTxid: Txid } | undefined {
  const [, database, level, min, max] = NAME.exec(name) ?? [];
  if (database === undefined || level === undefined || min === undefined || max === undefined)
    return undefined;
  return {
    database: parseDatabaseName(database),
    level: Number.parseInt(level, 16),
    minTxid: Number.parseInt(min, 16) as Txid,
    maxTxid: Number.parseInt(max, 16) as Txid,
  };
}

const NAME = /^([^/]+)\/([0-9a-f]{4})\/([0-9a-f]{16})-([0-9a-f]{16})\.ltx$/;

/**
 * All LTX files of a tenant by database. One LIST (a page per 1000 files), never of uploads.
 * @throws SystemError `object_foreign` for a key that is none of ours: guessing could lose what it means
 */
export async function listChains(
  store: ObjectStore,
  tenant: TenantId,
  options: RequestOptions,
): Promise<Map<DatabaseName, ChainFile[]>> {
  const prefix = `${tenantPrefix(tenant)}litestream/`;
  const chains = new Map<DatabaseName, ChainFile[]>();
  for await (const { key, size, modifiedMs } of listAll(store, { prefix, ...options })) {
    const parsed = parseChainKey(key.slice(prefix.length));
    if (parsed === undefined) {
      throw new SystemError(
        "object_foreign",
        `Cannot load tenant ${tenant}: ${key} is not a known kind of file`,
        {
          hint: "Move the object away, or use the version of this program that wrote it.",
        },
      );
    }
    const { database, ...file } = parsed;
    const files = chains.get(database) ?? [];
    chains.set(database, files);
    files.push({ key, ...file, size, modifiedMs });
  }
  return chains;
}

/**
 * The files to apply, in order: the newest snapshot, then at each step the file that reaches furthest of those that connect.
 * Files may overlap; of two with the same TXIDs the higher level's, since the lower one's goes first. Ends where nothing connects; the caller knows how far it must reach.
 *
 * @param from - a TXID that the caller has already; a newer snapshot is better
 * @throws SystemError `chain_gap` when files lie beyond a hole
 */
export function planChain(files: readonly ChainFile[], from: Txid = 0 as Txid): ChainFile[] {
  const snapshots = files.filter((file) => isSnapshot(file) && file.maxTxid >= from);
  const start = snapshots.reduce<ChainFile | undefined>(
    (best, file) => (best === undefined || file.maxTxid > best.maxTxid ? file : best),
    undefined,
  );
  const plan = start === undefined ? [] : [start];
  let reached: number = start?.maxTxid ?? from;
  const rest = files.toSorted((a, b) => a.minTxid - b.minTxid || b.level - a.level);
  let at = 0;
  for (;;) {
    let next: ChainFile | undefined;
    for (; at < rest.length && (rest[at] as ChainFile).minTxid <= reached + 1; at++) {
      const file = rest[at] as ChainFile;
      if (file.maxTxid > reached && (next === undefined || file.maxTxid > next.maxTxid)) next = file;
    }
    if (next === undefined) break;
    plan.push(next);
    reached = next.maxTxid;
  }
  const beyond = rest.find((file) => file.minTxid > reached + 1);
  if (beyond !== undefined) {
    throw new SystemError(
      "chain_gap",
      `Cannot restore from ${beyond.key}: TXIDs ${reached + 1} to ${beyond.minTxid - 1} are missing`,
      { hint: "Objects were deleted from the bucket; put them back, or restore to a point before the hole." },
    );
  }
  return plan;
}
