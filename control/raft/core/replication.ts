/** The leader's side: sending the log and the commit index, and counting who has what. */
import type { Progress } from "./progress.ts";
import { quorumIndex } from "./quorum.ts";
import { entryBytes } from "./raft-log.ts";
import { answerRead } from "./reads.ts";
import type { State } from "./state.ts";
import type { Entry, Membership, Message, NodeId } from "./types.ts";

type Content =
  | { kind: "data"; data: Uint8Array }
  | { kind: "noop" }
  | { kind: "membership"; membership: Membership; data?: Uint8Array };

/** Its own entry counts towards the quorum only when `advance` says that it is on disk. */
export function appendOwn(state: State, content: Content): Entry {
  const entry: Entry = { index: state.log.lastIndex + 1, term: state.term, ...content };
  state.log.append(entry);
  state.uncommittedBytes += entryBytes(entry);
  state.entriesToSend = true;
  if (entry.kind === "membership") state.syncProgress();
  return entry;
}

/** Commits what a majority has on disk, if it is of this leader's own term (Raft §5.4.2). */
export function maybeCommit(state: State): void {
  const { log } = state;
  const index = quorumIndex(state.voters, (id) => state.matchOf(id));
  if (index <= log.committed || !log.matches(index, state.term)) return;
  const before = log.committed;
  const firstOfTerm = !state.committedInTerm;
  for (const entry of log.slice(before + 1, index, Number.POSITIVE_INFINITY)) {
    state.uncommittedBytes = Math.max(0, state.uncommittedBytes - entryBytes(entry));
  }
  log.commitTo(index);
  state.commitToSend = true;
  if (firstOfTerm) {
    for (const read of state.reads.takeEarly()) answerRead(state, read);
  }
  const removed = log.membershipIndex <= index && !state.voters.includes(state.id);
  if (removed) {
    // The others must hear that its removal is committed before it falls silent.
    flushAppends(state);
    state.becomeFollower(state.term, null);
  }
}

/** Sends what waits since the last ready: many proposals leave in one message. */
export function flushAppends(state: State): void {
  if (state.role !== "leader" || !(state.entriesToSend || state.commitToSend)) return;
  const commit = state.commitToSend;
  state.entriesToSend = false;
  state.commitToSend = false;
  for (const [id, progress] of state.progress) {
    sendAppend(state, id, progress, commit);
    while (sendAppend(state, id, progress, false));
  }
}

/** One message to one node, if its window allows. `evenEmpty`: also when only the commit index is new. */
export function sendAppend(state: State, to: NodeId, progress: Progress, evenEmpty: boolean): boolean {
  if (progress.paused) return false;
  const { log, options } = state;
  const previousIndex = progress.next - 1;
  const previousTerm = log.term(previousIndex);
  if (previousTerm === undefined) return sendSnapshot(state, to, progress);
  const entries = log.slice(progress.next, log.lastIndex, options.messageBytesMax);
  if (entries.length === 0 && !evenEmpty) return false;
  state.send(to, { kind: "append", previousIndex, previousTerm, entries, commit: log.committed });
  const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
  progress.sent(previousIndex + entries.length, entries.length, bytes);
  return true;
}

export function handleAppendResponse(state: State, message: Message & { kind: "append_response" }): void {
  const progress = state.progress.get(message.from);
  if (progress === undefined) return;
  progress.active = true;
  const wasPaused = progress.paused;
  const isNew = progress.accepted(message.index);
  if (progress.state === "replicate") progress.freeTo(message.index);
  if (!isNew && !(progress.state === "probe" && progress.match === message.index)) return;
  if (progress.state === "probe") progress.toReplicate();
  else if (progress.state === "snapshot" && progress.match >= state.log.base.index) progress.toReplicate();
  const committed = state.log.committed;
  maybeCommit(state);
  if (state.role !== "leader") return;
  if (wasPaused && committed === state.log.committed) sendAppend(state, message.from, progress, true);
  while (sendAppend(state, message.from, progress, false));
  maybeTransfer(state, message.from, progress);
}

export function handleAppendRejected(state: State, message: Message & { kind: "append_rejected" }): void {
  const progress = state.progress.get(message.from);
  if (progress === undefined) return;
  progress.active = true;
  const probe = state.log.conflictByTerm(message.hintIndex, message.hintTerm).index;
  if (!progress.rejected(message.previousIndex, probe)) return;
  if (progress.state === "replicate") progress.toProbe();
  sendAppend(state, message.from, progress, true);
}

export function handleHeartbeatResponse(
  state: State,
  message: Message & { kind: "heartbeat_response" },
): void {
  const progress = state.progress.get(message.from);
  if (progress === undefined) return;
  progress.active = true;
  progress.probeSent = false;
  if (progress.state === "replicate" && progress.windowFull) progress.freeFirst();
  // It has the snapshot, or so much that none is needed, and its answer was lost: nothing else would be sent to it for long.
  if (progress.state === "snapshot" && message.commit > progress.match) {
    handleAppendResponse(state, { ...message, kind: "append_response", index: message.commit });
  }
  if (progress.state === "snapshot" && progress.snapshotElapsed >= state.options.snapshotTicks) {
    progress.snapshotFailed();
  }
  if (progress.match < state.log.lastIndex || progress.state === "probe") {
    sendAppend(state, message.from, progress, true);
  }
  if (message.read === 0) return;
  for (const read of state.reads.acknowledge(message.from, message.read, state.voters)) {
    if (read.from === state.id) state.readStates.push({ context: read.context, index: read.index });
    else state.send(read.from, { kind: "read_index_response", context: read.context, index: read.index });
  }
}

/** Once the chosen node has everything, it may campaign without waiting. */
export function maybeTransfer(state: State, to: NodeId, progress: Progress): void {
  if (state.transferee === to && progress.match === state.log.lastIndex)
    state.send(to, { kind: "timeout_now" });
}

function sendSnapshot(state: State, to: NodeId, progress: Progress): boolean {
  // A node that does not answer would only get it in vain.
  if (!progress.active) return false;
  const { snapshot } = state.log;
  state.send(to, { kind: "snapshot", snapshot });
  progress.toSnapshot(snapshot.index);
  return true;
}
