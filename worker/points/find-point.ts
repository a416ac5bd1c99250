import { UserError } from "../../shared/errors.ts";
import { DATA_DB, type DatabaseName, type TenantId, type Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Point, RestorablePoint } from "../../shared/protocol/points.ts";
import {
  type DatabaseHistory,
  type PointStep,
  type TxidRange,
  listHistory,
  planPoint,
  reachable,
} from "./history.ts";
import { TxidTimes } from "./times.ts";

export interface FindOptions {
  store: ObjectStore;
  tenant: TenantId;
  signal: AbortSignal;
  nowMs: number;
}

/** One database at the point. */
export interface DatabasePoint {
  txid: Txid;
  steps: readonly PointStep[];
}

export interface FoundPoint {
  /** Of data.db. */
  point: RestorablePoint;
  /** Whether data.db was so at the asked time; for a TXID always. */
  exact: boolean;
  /** The next one that is kept. */
  next: RestorablePoint | undefined;
  /** Those that were there at the point and can be had. */
  databases: Map<DatabaseName, DatabasePoint>;
}

/**
 * Finds a point: of data.db the given TXID, or the newest that is not younger than the given time; of the other databases the newest
 * that is not younger than data.db's (than the given time). Without `at`: the newest of all.
 *
 * @throws UserError `point_not_found`, with the nearest points in its details
 */
export async function findPoint(options: FindOptions, at: Point | undefined): Promise<FoundPoint> {
  const { store, tenant, signal } = options;
  const histories = await listHistory(store, tenant, { signal });
  const data = histories.get(DATA_DB);
  const ranges = data === undefined ? [] : reachable(data);
  if (data === undefined || ranges.length === 0) throw notFound(at, "nothing can be restored yet", {});
  const times = new TxidTimes(store, data, signal);
  const isTime = typeof at === "string";
  const timeMs = isTime ? Date.parse(at) : Infinity;
  if (isTime && timeMs > options.nowMs + limits.clockSkewMsMax)
    throw notFound(at, "that time has not come", {});
  const txid = typeof at === "number" ? at : await times.newestAt(ranges, timeMs);
  const around = neighbours(ranges, typeof txid === "number" ? txid : (0 as Txid));
  const named = async (one: Txid | undefined): Promise<RestorablePoint | undefined> =>
    one === undefined ? undefined : { txid: one, at: isoTime(await times.of(one)) };
  if (txid === undefined || !around.here) {
    const details = { before: await named(around.before), after: await named(around.after) };
    throw notFound(at, "it is not kept", details);
  }
  const madeMs = await times.of(txid);
  const isNewest = around.after === undefined;
  // Whoever asks for a time was served by that TXID at that time; a TXID is as old as it is.
  const oldestMs = isTime ? timeMs : madeMs;
  if (!isNewest && oldestMs < options.nowMs - limits.historyKeepMs) {
    throw notFound(at, "it is older than points are kept", { after: await named(around.after) });
  }
  const databases = new Map<DatabaseName, DatabasePoint>();
  for (const [name, history] of histories) {
    const own =
      name === DATA_DB
        ? txid
        : await otherTxid(options, history, isTime ? timeMs : isNewest ? Infinity : madeMs);
    const steps = own === undefined ? undefined : planPoint(history, own);
    if (own !== undefined && steps !== undefined) databases.set(name, { txid: own, steps });
  }
  const exact = !isTime || isNewest || around.after === txid + 1;
  return {
    point: { txid, at: isoTime(madeMs) },
    exact,
    next: await named(around.after),
    databases,
  };
}

async function otherTxid(
  { store, signal }: FindOptions,
  history: DatabaseHistory,
  timeMs: number,
): Promise<Txid | undefined> {
  return new TxidTimes(store, history, signal).newestAt(reachable(history), timeMs);
}

/** The restorable TXIDs nearest to one on both sides, and whether it is one itself. */
function neighbours(
  ranges: readonly TxidRange[],
  txid: Txid,
): { before: Txid | undefined; here: boolean; after: Txid | undefined } {
  let before: Txid | undefined;
  let here = false;
  for (const { first, last } of ranges) {
    if (first > txid) return { before, here, after: first };
    if (last < txid) {
      before = last;
      continue;
    }
    here = true;
    if (first < txid) before = (txid - 1) as Txid;
    if (last > txid) return { before, here, after: (txid + 1) as Txid };
  }
  return { before, here, after: undefined };
}

function notFound(
  at: Point | undefined,
  state: string,
  near: Record<string, RestorablePoint | undefined>,
): UserError {
  const known = Object.entries(near).filter((one): one is [string, RestorablePoint] => one[1] !== undefined);
  const text = known.map(([side, { txid, at: time }]) => `${txid} (${time}) ${side} it`).join(", ");
  const what = at === undefined ? "the newest point" : typeof at === "number" ? `TXID ${at}` : at;
  return new UserError("point_not_found", `Cannot restore ${what}: ${state}`, {
    hint: text === "" ? "`manybase tenants points <slug>` shows what is kept." : `Nearest is ${text}.`,
    details: Object.fromEntries(known),
  });
}

export const isoTime = (ms: number): string => new Date(ms).toISOString();
