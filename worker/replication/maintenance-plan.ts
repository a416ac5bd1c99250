import { limits } from "../../shared/limits.ts";
import { SNAPSHOT_LEVEL } from "../../shared/objects/layout.ts";
import { type ChainFile, isSnapshot, planChain } from "./chain.ts";

/** Files of one level that become one file of the next. */
export interface Compaction {
  level: 2 | 3;
  files: ChainFile[];
}

const COMPACTIONS = [
  { level: 2, afterMs: (): number => limits.compactAfterMs },
  { level: 3, afterMs: (): number => limits.compactDailyMs },
] as const;

/** What is to be merged now: all files of a level that the next one does not hold, once the oldest of them is old enough. */
export function planCompactions(files: readonly ChainFile[], level: 2 | 3, nowMs: number): Compaction[] {
  const waiting = uncompacted(files, level);
  const due = waiting.some(({ modifiedMs }) => modifiedMs + afterMs(level) <= nowMs);
  if (!due) return [];
  const compactions: Compaction[] = [];
  let group: ChainFile[] = [];
  let [reached, bytes] = [0, 0];
  for (const file of waiting) {
    // One that is larger by itself goes up alone.
    if (file.minTxid > reached + 1 || bytes + file.size > limits.compactBytesMax) {
      if (group.length > 0) compactions.push({ level, files: group });
      [group, bytes] = [[], 0];
    }
    reached = Math.max(reached, file.maxTxid);
    group.push(file);
    bytes += file.size;
  }
  if (group.length > 0) compactions.push({ level, files: group });
  return compactions;
}

/** When an object may go, if nothing new comes: from `atMs` on; those that stay are not named. */
export interface Deletable {
  key: string;
  atMs: number;
}

/**
 * Which files of one database no restorable point needs any more, and from when on. Kept always: the newest snapshot and what
 * leads from it to the newest TXID. Level 1 is kept as long as it has the finest grain of what is promised, all others as long
 * as any point is promised, and only what a higher level or a snapshot that is itself old enough holds goes at all.
 */
export function planRetention(files: readonly ChainFile[]): Deletable[] {
  const newest = new Set(planChain(files).map(({ key }) => key));
  const snapshots = files.filter(isSnapshot);
  const plan: Deletable[] = [];
  for (const file of files) {
    if (newest.has(file.key)) continue;
    const snapshot = isSnapshot(file);
    const bySnapshot = snapshots
      .filter((one) => (snapshot ? one.maxTxid > file.maxTxid : one.maxTxid >= file.maxTxid))
      .map((one) => one.modifiedMs + limits.historyKeepMs);
    const byLevel = !snapshot && files.some((one) => isHigher(one, file) && covers(one, file)) ? [0] : [];
    const free = Math.min(...bySnapshot, ...byLevel);
    if (!Number.isFinite(free)) continue;
    const keepMs = snapshot ? 0 : file.level === 1 ? limits.levelOneKeepMs : limits.historyKeepMs;
    plan.push({ key: file.key, atMs: Math.max(free, file.modifiedMs + keepMs) });
  }
  return plan;
}

/** Something that may go from `atMs` on, and what it takes. */
export interface Waiting {
  key: string;
  atMs: number;
  size: number;
}

/**
 * When what may go is worth a visit, a record and a PUT to the log: once the first of it has waited a day, or together they take much.
 * Undefined when nothing may ever go.
 */
export function deletionVisitMs(waiting: readonly Waiting[]): number | undefined {
  const inOrder = waiting.toSorted((a, b) => a.atMs - b.atMs);
  const [first] = inOrder;
  if (first === undefined) return undefined;
  let bytes = 0;
  const enough = inOrder.find(({ size }) => (bytes += size) >= limits.deletionBatchBytes);
  return Math.min(first.atMs + limits.deletionBatchMs, enough?.atMs ?? Infinity);
}

/** When the next of a database's files is to be merged; undefined while nothing waits. */
export function nextCompactionMs(files: readonly ChainFile[]): number | undefined {
  const times = COMPACTIONS.flatMap(({ level, afterMs: wait }) =>
    uncompacted(files, level).map(({ modifiedMs }) => modifiedMs + wait()),
  );
  return times.length === 0 ? undefined : Math.min(...times);
}

const afterMs = (level: 2 | 3): number => (level === 2 ? limits.compactAfterMs : limits.compactDailyMs);

/** Files of the level below that reach beyond what the level holds, and beyond the newest snapshot's start of history. */
function uncompacted(files: readonly ChainFile[], level: 2 | 3): ChainFile[] {
  const held = files.filter(
    (file) => file.level >= level && file.level < SNAPSHOT_LEVEL && !isSnapshot(file),
  );
  const reach = Math.max(0, ...held.map(({ maxTxid }) => maxTxid));
  return files
    .filter((file) => file.level === level - 1 && file.maxTxid > reach && !isSnapshot(file))
    .toSorted((a, b) => a.minTxid - b.minTxid || a.maxTxid - b.maxTxid);
}

const isHigher = (one: ChainFile, file: ChainFile): boolean => !isSnapshot(one) && one.level > file.level;

const covers = (one: ChainFile, file: ChainFile): boolean =>
  one.minTxid <= file.minTxid && one.maxTxid >= file.maxTxid;
