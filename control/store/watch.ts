import type { Revision } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { type Change, Compacted } from "./contract.ts";
import type { KeyChange, WatchHistory } from "./watch-history.ts";

/** What a watch reads. `history` may be replaced (a snapshot was installed) and is asked for again at each step. */
export interface WatchSource {
  history(): WatchHistory;
  revision(): number;
  /** Resolves true when the revision may have passed `rev`, false after `waitMs`, or when the signal aborts. Rejects when the store stops. */
  changed(rev: number, waitMs: number, signal: AbortSignal): Promise<boolean>;
}

const GROUPS_AT_ONCE = 256;

/**
 * Pulls from the shared history at the reader's pace, so a slow reader costs no memory: when it falls behind the history it
 * gets Compacted.
 */
export async function* watchHistory(
  source: WatchSource,
  prefix: string,
  fromRev: Revision,
  signal: AbortSignal,
): AsyncGenerator<Change[] | { progress: Revision }, void, void> {
  let reached: number = fromRev;
  let told: number = fromRev;
  while (!signal.aborted) {
    const groups = source.history().since(reached, GROUPS_AT_ONCE);
    if (groups === undefined) throw new Compacted(source.history().after as Revision);
    for (const { rev, changes } of groups) {
      reached = rev;
      const matching = changes.filter((change) => change.key.startsWith(prefix));
      if (matching.length === 0) continue;
      told = rev;
      yield matching.map((change) => toChange(rev, change));
      if (signal.aborted) return;
    }
    if (groups.length === GROUPS_AT_ONCE) continue;
    if (reached - told < limits.watchSilentRevisionsMax) {
      const changed = await source.changed(reached, limits.streamProgressMs, signal);
      if (changed || signal.aborted) continue;
    }
    // A replica behind the asked revision has nothing to confirm yet.
    if (reached > source.revision()) continue;
    told = reached;
    yield { progress: told as Revision };
  }
}

function toChange(rev: number, change: KeyChange): Change {
  return change.text === null
    ? { rev: rev as Revision, kind: "delete", key: change.key }
    : { rev: rev as Revision, kind: "put", kv: change };
}
