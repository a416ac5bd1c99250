import type { DatabaseName, Txid } from "../../../shared/ids.ts";
import type { DataEntry } from "../../../shared/log/log.ts";
import type { Position } from "../../../shared/protocol/internal.ts";
import { type ChainFile, isSnapshot } from "../../../worker/replication/chain.ts";
import type { TailItem } from "../../../worker/replication/sealed-log.ts";
import type { BundleFile } from "../../../worker/replication/tenant-objects.ts";
import { type Span, spansBetween } from "./log-holes.ts";

/** One change that can be read by itself: of a log, or of a bundle. */
export interface Change {
  txid: Txid;
  entryHash: string | undefined;
  from: { item: TailItem } | { entry: DataEntry };
}

export interface DatabasePieces {
  database: DatabaseName;
  files: readonly ChainFile[];
  bundles: readonly BundleFile[];
  changes: readonly Change[];
  /** TXIDs that are known to have been, though nothing of them can be read. */
  known: readonly Txid[];
  base: Position | undefined;
  /** Of a branch: where its own files go on from. */
  start: Txid;
  /** Changes may be put in place of files, which for an encrypted tenant needs its key. */
  mayFill: boolean;
}

export interface DatabasePlan {
  database: DatabaseName;
  /** As far as everything is there. */
  end: Position;
  /** Changes that stand for missing files below the end. */
  fill: Change[];
  /** Changes after the last file, up to the end. */
  tail: Change[];
  lastFile: ChainFile | undefined;
  /** It begins with a snapshot of its own: nothing of an origin is read. */
  standsAlone: boolean;
  /** Keys of files that nothing leads to, and of bundles that hold something beyond the end. */
  beyond: string[];
  /** Given up: TXIDs after the end up to the last one that is known of, and those of them that are nowhere. */
  lost?: { from: number; to: number; missing: Span[] };
}

/** How far a database can be had without a hole, and what then is of no use any more. */
export function planDatabase(pieces: DatabasePieces): DatabasePlan {
  const { database, files, bundles, changes, base, start, mayFill } = pieces;
  const byTxid = new Map(changes.map((change) => [change.txid as number, change]));
  let lastFile = files
    .filter((file) => isSnapshot(file) && file.maxTxid >= start)
    .reduce<ChainFile | undefined>(
      (best, file) => (best === undefined || file.maxTxid > best.maxTxid ? file : best),
      undefined,
    );
  const standsAlone = lastFile !== undefined;
  let reached: number = lastFile?.maxTxid ?? start;
  const steps: Change[] = [];
  let fills = 0;
  for (;;) {
    const file = steps.length === 0 || mayFill ? furthest(files, reached) : undefined;
    const change = byTxid.get(reached + 1);
    if (file !== undefined) {
      lastFile = file;
      reached = file.maxTxid;
      fills = steps.length;
    } else if (change !== undefined) {
      steps.push(change);
      reached++;
    } else break;
  }
  const held: Span[] = [...files, ...bundles].map(({ minTxid, maxTxid }) => [minTxid, maxTxid]);
  held.push(...changes.map(({ txid }): Span => [txid, txid]));
  const last = Math.max(reached, base?.txid ?? 0, ...pieces.known, ...held.map(([, to]) => to));
  // A strict load refuses any file that no file leads to, even where changes would.
  const ledTo = lastFile?.maxTxid ?? start;
  const beyond = [
    ...files.filter(({ maxTxid }) => maxTxid > ledTo),
    ...bundles.filter(({ maxTxid }) => maxTxid > reached),
  ].map(({ key }) => key);
  const entryHash = byTxid.get(reached)?.entryHash ?? (base?.txid === reached ? base.entryHash : "");
  return {
    database,
    end: { txid: reached as Txid, entryHash },
    fill: steps.slice(0, fills),
    tail: steps.slice(fills),
    lastFile,
    standsAlone,
    beyond,
    ...(last === reached
      ? {}
      : { lost: { from: reached + 1, to: last, missing: missingOf(held, reached + 1, last) } }),
  };
}

function furthest(files: readonly ChainFile[], reached: number): ChainFile | undefined {
  return files
    .filter(({ minTxid, maxTxid }) => minTxid <= reached + 1 && maxTxid > reached)
    .reduce<ChainFile | undefined>(
      (best, file) => (best === undefined || file.maxTxid > best.maxTxid ? file : best),
      undefined,
    );
}

/** Of `first` to `last` what is in none of the spans. */
function missingOf(held: readonly Span[], first: number, last: number): Span[] {
  const missing: Span[] = [];
  let next = first;
  for (const [from, to] of held.toSorted((a, b) => a[0] - b[0])) {
    if (from > next) missing.push(...spansBetween([], next, Math.min(from - 1, last)));
    next = Math.max(next, to + 1);
  }
  if (next <= last) missing.push([next, last]);
  return missing;
}
