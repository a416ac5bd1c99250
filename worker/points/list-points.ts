import type { Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Points, RestorablePoint } from "../../shared/protocol/points.ts";
import { parallel } from "../replication/parallel.ts";
import { type FindOptions, isoTime } from "./find-point.ts";
import { type DatabaseHistory, listHistory, reachable } from "./history.ts";
import { TxidTimes } from "./times.ts";

type DatabasePoints = Points["databases"][string];

/** What of a tenant can be restored, from its prefix alone. */
export async function listPoints(options: FindOptions): Promise<Points> {
  const { store, tenant, signal } = options;
  const databases: Points["databases"] = {};
  for (const [name, history] of await listHistory(store, tenant, { signal })) {
    databases[name] = await databasePoints(options, history);
  }
  return { databases };
}

async function databasePoints(
  { store, signal, nowMs }: FindOptions,
  history: DatabaseHistory,
): Promise<DatabasePoints> {
  const times = new TxidTimes(store, history, signal);
  const point = async (txid: Txid): Promise<RestorablePoint> => ({ txid, at: isoTime(await times.of(txid)) });
  const all = reachable(history);
  const newest = all.at(-1)?.last;
  const wide = all.filter(({ first, last }) => first < last);
  const single = all.filter(({ first, last }) => first === last).map(({ first }) => first);
  const shown = single.slice(-limits.pointSinglesMax);
  const oldest = isoTime(nowMs - limits.historyKeepMs);
  // What is older may name uploads that are gone; the present state is never too old.
  const isKept = ({ txid, at }: RestorablePoint): boolean => txid === newest || at >= oldest;
  const ranges = await parallel(wide, limits.pointHeadersParallel, async (range) => {
    const tooOld = await times.newestAt([range], nowMs - limits.historyKeepMs - 1);
    const first = tooOld === undefined ? range.first : Math.min(tooOld + 1, range.last);
    return { first: await point(first as Txid), last: await point(range.last) };
  });
  const singles = await parallel(shown, limits.pointHeadersParallel, point);
  return {
    ...(newest === undefined ? {} : { newest: await point(newest) }),
    ranges: ranges.filter(({ last }) => isKept(last)),
    singles: singles.filter(isKept),
    more: single.length - shown.length,
  };
}
