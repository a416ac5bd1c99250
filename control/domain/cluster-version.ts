import { replicaKey } from "./keys.ts";
import type { ReplicaRecord } from "./records.ts";
import { type Decision, type View, draft, put } from "./view.ts";
import { serves } from "./worker-states.ts";

export interface OldestPart {
  version: string;
  /** `control <id>` or `worker <incarnation>`. */
  who: string;
}

/** A replica tells which release it runs, once at each start. No audit entry: it is no change of anybody's doing. */
export function announceReplica(view: View, id: string, version: string): Decision<void> {
  const key = replicaKey(id);
  if (view.get(key)?.version === version) return { settled: undefined };
  const next: ReplicaRecord = { version };
  return { draft: draft(view, [key], [put(key, next)]), value: undefined };
}

/** The lowest release among control's members and serving workers: what formats and messages must suit. */
export function oldestPart(view: View, members: readonly string[], own: OldestPart): OldestPart {
  let oldest = own;
  const look = (part: OldestPart): void => {
    if (compareVersions(part.version, oldest.version) < 0) oldest = part;
  };
  for (const id of members) {
    const version = view.get(replicaKey(id))?.version;
    if (version !== undefined) look({ version, who: `control ${id}` });
  }
  for (const worker of view.workers()) {
    if (serves(worker)) look({ version: worker.version, who: `worker ${worker.incarnation}` });
  }
  return oldest;
}

/** Numbers between dots, from the left; what follows a hyphen does not count. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [numbers(a), numbers(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

const numbers = (version: string): number[] =>
  (version.split("-")[0] ?? "").split(".").map((part) => Number.parseInt(part, 10) || 0);
