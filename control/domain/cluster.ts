import { type Meta, audit, isoTime } from "./audit.ts";
import { CLUSTER } from "./keys.ts";
import { type Decision, type View, draft, put } from "./view.ts";

/** The cluster's name, given once and for ever by its first leader. */
export function nameCluster(view: View, meta: Meta, id: string): Decision<string> {
  const known = view.get(CLUSTER);
  if (known !== undefined) return { settled: known.id };
  return {
    draft: draft(
      view,
      [CLUSTER],
      [put(CLUSTER, { id, created: isoTime(meta.atMs) }), audit(meta, "cluster.create", id)],
    ),
    value: id,
  };
}
