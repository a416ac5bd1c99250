/** The follower's side: taking the log, the commit index and snapshots from a leader of the present term. */
import type { State } from "./state.ts";
import type { Message } from "./types.ts";

export function handleAppend(state: State, message: Message & { kind: "append" }): void {
  const { log } = state;
  const { previousIndex, previousTerm, entries, commit } = message;
  if (previousIndex < log.committed) {
    // Committed entries match every leader's: no need to look, and some may be compacted here.
    state.send(message.from, { kind: "append_response", index: log.committed });
  } else if (log.matches(previousIndex, previousTerm)) {
    const matched = log.merge(previousIndex, entries);
    log.commitTo(Math.min(commit, matched));
    state.send(message.from, { kind: "append_response", index: matched });
  } else {
    const hint = log.conflictByTerm(previousIndex, previousTerm);
    state.send(message.from, {
      kind: "append_rejected",
      previousIndex,
      hintIndex: hint.index,
      hintTerm: hint.term,
    });
  }
}

export function handleHeartbeat(state: State, message: Message & { kind: "heartbeat" }): void {
  const { log } = state;
  log.commitTo(message.commit);
  state.send(message.from, { kind: "heartbeat_response", read: message.read, commit: log.committed });
}

export function handleSnapshot(state: State, message: Message & { kind: "snapshot" }): void {
  const { log } = state;
  const { snapshot } = message;
  if (snapshot.index > log.committed) {
    if (log.matches(snapshot.index, snapshot.term)) log.commitTo(snapshot.index);
    else log.install(snapshot);
  }
  state.send(message.from, { kind: "append_response", index: log.committed });
}
