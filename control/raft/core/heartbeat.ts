import type { State } from "./state.ts";

/** To every other member, with the newest read that waits for confirmation. */
export function broadcastHeartbeat(state: State): void {
  for (const [id, progress] of state.progress) {
    // A node must not learn of a commit beyond what is known to match: it may hold other entries there.
    const commit = Math.min(progress.match, state.log.committed);
    state.send(id, { kind: "heartbeat", commit, read: state.reads.sequence });
  }
}
