import { broadcastHeartbeat } from "./heartbeat.ts";
import type { Read } from "./read-queue.ts";
import type { State } from "./state.ts";

/** False when the read can only be asked again: no leader is known, or too many wait. */
export function requestRead(state: State, context: string): boolean {
  if (state.role === "leader") return leaderRead(state, { from: state.id, context });
  if (state.leader === null) return false;
  state.send(state.leader, { kind: "read_index", context });
  return true;
}

export function leaderRead(state: State, read: Read): boolean {
  if (state.reads.size >= state.options.pendingReadsMax) return false;
  if (state.committedInTerm) answerRead(state, read);
  else state.reads.addEarly(read);
  return true;
}

/** At the present commit index, once a majority confirms; alone, at once. */
export function answerRead(state: State, read: Read): void {
  const index = state.log.committed;
  if (!state.isOnlyVoter) {
    state.reads.add(read, index, state.id);
    broadcastHeartbeat(state);
  } else if (read.from === state.id) {
    state.readStates.push({ context: read.context, index });
  } else {
    state.send(read.from, { kind: "read_index_response", context: read.context, index });
  }
}
