import type { DatabaseName, TenantId, Txid } from "../../shared/ids.ts";
import type { ObjectStore, RequestOptions } from "../../shared/objects/contract.ts";
import { type ChainFile, isSnapshot } from "../replication/chain.ts";
import { type BundleFile, listTenantObjects } from "../replication/tenant-objects.ts";

/** What of one database is under a prefix: files that bring it to their last TXID, and bundles of single flushes. */
export interface DatabaseHistory {
  files: readonly ChainFile[];
  bundles: readonly BundleFile[];
}

/** From one state to the next: a whole file, or the flushes of a bundle up to `toTxid`. */
export type PointStep =
  | { kind: "file"; file: ChainFile; toTxid: Txid }
  | { kind: "bundle"; bundle: BundleFile; toTxid: Txid };

/** TXIDs that can be had, all of them from `first` to `last`. */
export interface TxidRange {
  first: Txid;
  last: Txid;
}

/** Everything under a tenant's prefix that a point could be made of. */
export async function listHistory(
  store: ObjectStore,
  tenant: TenantId,
  options: RequestOptions,
): Promise<Map<DatabaseName, DatabaseHistory>> {
  const { chains, bundles } = await listTenantObjects(store, tenant, options);
  const names = new Set([...chains.keys(), ...bundles.map(({ database }) => database)]);
  return new Map(
    [...names].map((name) => [
      name,
      { files: chains.get(name) ?? [], bundles: bundles.filter(({ database }) => database === name) },
    ]),
  );
}

/**
 * How to make the database as of exactly `txid`, strictly contiguous; undefined when what is there does not lead to it. The newest
 * snapshot is the best start: whatever leads on from an older one crosses it, and overlaps are legal.
 */
export function planPoint({ files, bundles }: DatabaseHistory, txid: Txid): PointStep[] | undefined {
  const usable = files.filter(({ maxTxid }) => maxTxid <= txid);
  const start = usable
    .filter(isSnapshot)
    .reduce<ChainFile | undefined>(
      (best, one) => (best !== undefined && best.maxTxid >= one.maxTxid ? best : one),
      undefined,
    );
  const steps: PointStep[] =
    start === undefined ? [] : [{ kind: "file", file: start, toTxid: start.maxTxid }];
  let reached: number = start?.maxTxid ?? 0;
  while (reached < txid) {
    const next = furthest(usable, bundles, reached, txid);
    if (next === undefined) return undefined;
    steps.push(next);
    reached = next.toTxid;
  }
  return steps;
}

/** One file is read faster than the flushes of a bundle: it wins when both reach as far. */
function furthest(
  files: readonly ChainFile[],
  bundles: readonly BundleFile[],
  reached: number,
  txid: Txid,
): PointStep | undefined {
  let best: PointStep | undefined;
  for (const bundle of bundles) {
    const toTxid = Math.min(bundle.maxTxid, txid) as Txid;
    if (bundle.minTxid > reached + 1 || toTxid <= Math.max(reached, best?.toTxid ?? 0)) continue;
    best = { kind: "bundle", bundle, toTxid };
  }
  for (const file of files) {
    if (file.minTxid > reached + 1 || file.maxTxid <= reached || file.maxTxid < (best?.toTxid ?? 0)) continue;
    best = { kind: "file", file, toTxid: file.maxTxid };
  }
  return best;
}

/** All TXIDs that `planPoint` can make, as ranges in ascending order that do not touch. */
export function reachable({ files, bundles }: DatabaseHistory): TxidRange[] {
  const found = new Ranges();
  for (const file of files) if (isSnapshot(file)) found.add(file.maxTxid, file.maxTxid);
  const pieces = [
    ...files
      .filter((file) => !isSnapshot(file))
      .map((file) => ({ min: file.minTxid, max: file.maxTxid, every: false })),
    ...bundles.map(({ minTxid, maxTxid }) => ({ min: minTxid, max: maxTxid, every: true })),
  ].toSorted((a, b) => a.max - b.max || a.min - b.min);
  // A piece may lead on from one that ends later in this order (overlaps), hence until nothing is new.
  let size: number;
  do {
    size = found.size;
    for (const { min, max, every } of pieces) {
      const from = min === 1 ? (0 as Txid) : found.lowest(min - 1, max);
      if (from === undefined || from >= max) continue;
      found.add((every ? from + 1 : max) as Txid, max);
    }
  } while (found.size > size);
  return found.all;
}

/** A set of TXIDs as ranges. */
class Ranges {
  all: TxidRange[] = [];

  /** How many TXIDs. */
  get size(): number {
    return this.all.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  }

  /** The lowest member from `min` to `max`. */
  lowest(min: number, max: number): Txid | undefined {
    const range = this.all.find(({ last }) => last >= min);
    if (range === undefined) return undefined;
    const txid = Math.max(range.first, min);
    return txid <= max ? (txid as Txid) : undefined;
  }

  add(first: Txid, last: Txid): void {
    let [low, high] = [first, last];
    const apart: TxidRange[] = [];
    for (const range of this.all) {
      if (range.last < low - 1 || range.first > high + 1) {
        apart.push(range);
        continue;
      }
      low = Math.min(low, range.first) as Txid;
      high = Math.max(high, range.last) as Txid;
    }
    this.all = [...apart, { first: low, last: high }].toSorted((a, b) => a.first - b.first);
  }
}

export const stepKey = (step: PointStep): string => (step.kind === "file" ? step.file.key : step.bundle.key);
