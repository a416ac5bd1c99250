import { tally } from "./quorum.ts";
import { appendOwn, maybeCommit } from "./replication.ts";
import type { State } from "./state.ts";
import type { Message } from "./types.ts";

/**
 * Asks first whether it could win (pre-vote, no term is spent), then for real. After a transfer it asks for real at once: the
 * leader itself sent it.
 */
export function campaign(state: State, stage: "pre_vote" | "vote", transfer: boolean): void {
  if (state.role === "leader" || !state.promotable) return;
  if (stage === "pre_vote") {
    state.reset(state.term);
    state.role = "pre_candidate";
  } else {
    state.reset(state.term + 1);
    state.role = "candidate";
    state.vote = state.id;
  }
  state.votes.set(state.id, true);
  if (decide(state)) return;
  const { lastIndex, lastTerm } = state.log;
  const term = stage === "pre_vote" ? state.term + 1 : state.term;
  for (const voter of state.voters) {
    if (voter !== state.id) state.send(voter, { kind: stage, lastIndex, lastTerm, transfer }, term);
  }
}

export function handleVoteRequest(state: State, message: Message & { kind: "vote" | "pre_vote" }): void {
  const free = state.vote === message.from || (state.vote === null && state.leader === null);
  const ahead = message.kind === "pre_vote" && message.term > state.term;
  const granted = (free || ahead) && state.log.isUpToDate(message.lastIndex, message.lastTerm);
  const kind = message.kind === "vote" ? "vote_response" : "pre_vote_response";
  if (granted && message.kind === "vote") {
    state.electionElapsed = 0;
    state.vote = message.from;
  }
  state.send(message.from, { kind, granted }, granted ? message.term : state.term);
}

export function handleVoteResponse(
  state: State,
  message: Message & { kind: "vote_response" | "pre_vote_response" },
): void {
  const asked = message.kind === "vote_response" ? "candidate" : "pre_candidate";
  if (state.role !== asked) return;
  const term = asked === "pre_candidate" && message.granted ? state.term + 1 : state.term;
  if (message.term !== term || state.votes.has(message.from)) return;
  state.votes.set(message.from, message.granted);
  decide(state);
}

/** True when the round is over. */
function decide(state: State): boolean {
  const outcome = tally(state.voters, state.votes);
  if (outcome === "open") return false;
  if (outcome === "lost") state.becomeFollower(state.term, null);
  else if (state.role === "pre_candidate") campaign(state, "vote", false);
  else becomeLeader(state);
  return true;
}

function becomeLeader(state: State): void {
  const { votes } = state;
  state.reset(state.term);
  state.role = "leader";
  state.leader = state.id;
  state.syncProgress();
  for (const [id, progress] of state.progress) progress.active = votes.get(id) === true;
  // Entries of earlier terms commit only through one of its own term.
  appendOwn(state, { kind: "noop" });
  maybeCommit(state);
}
