import { campaign, handleVoteRequest, handleVoteResponse } from "./election.ts";
import { handleAppend, handleHeartbeat, handleSnapshot } from "./following.ts";
import { broadcastHeartbeat } from "./heartbeat.ts";
import { changedMembership } from "./membership.ts";
import { completeOptions, type RaftConfig } from "./options.ts";
import { majority } from "./quorum.ts";
import { leaderRead, requestRead } from "./reads.ts";
import {
  appendOwn,
  flushAppends,
  handleAppendRejected,
  handleAppendResponse,
  handleHeartbeatResponse,
  maybeCommit,
  maybeTransfer,
  sendAppend,
} from "./replication.ts";
import { State } from "./state.ts";
import type {
  HardState,
  InitialState,
  MembershipChange,
  Message,
  NodeId,
  ProposeResult,
  Ready,
  Refusal,
  Snapshot,
  Status,
} from "./types.ts";

/**
 * One node of a Raft group as a pure state machine: no I/O, clock or randomness of its own. Inputs are `tick`, `step`, `propose`,
 * `readIndex` and friends; what is to be done comes out of `ready`, and `advance` says that it was done. Inputs may come between
 * `ready` and `advance`. DESIGN.md beside this folder shows a whole program.
 */
export class RaftCore {
  readonly #state: State;
  #hardState: HardState;
  #outstanding: Ready | null = null;

  /** A new cluster starts every founder with the same `initial`; a restarted node with what was durable. */
  constructor(config: RaftConfig, initial: InitialState) {
    this.#state = new State(completeOptions(config), initial);
    this.#hardState = initial.hardState;
  }

  /** The driver's clock moved on by one tick. */
  tick(): void {
    const state = this.#state;
    state.electionElapsed += 1;
    if (state.role === "leader") this.#tickLeader();
    else if (state.electionElapsed >= state.electionTimeout && state.promotable)
      campaign(state, "pre_vote", false);
  }

  /** Asks for votes without waiting for the time-out: a single member has nobody to wait for. */
  campaign(): void {
    campaign(this.#state, "pre_vote", false);
  }

  /** A message from another node. Lost, repeated, late and reordered ones do no harm. */
  step(message: Message): void {
    const state = this.#state;
    if (message.to !== state.id || message.from === state.id) return;
    if (message.term > state.term) {
      if (message.kind === "vote" || message.kind === "pre_vote") {
        // Whoever hears from a leader does not help to unseat it.
        const hasLeader = state.leader !== null && state.electionElapsed < state.options.electionTicks;
        if (hasLeader && !message.transfer) return;
      }
      if (!answersToFutureTerm(message)) {
        state.becomeFollower(message.term, isFromLeader(message) ? message.from : null);
      }
    } else if (message.term < state.term) {
      this.#answerOldTerm(message);
      return;
    }
    this.#handle(message);
  }

  /** On a leader: appends to the log. Accepted is not committed: that shows in `ready().committed` at this index and term. */
  propose(data: Uint8Array): ProposeResult {
    const state = this.#state;
    const refusal = this.#refusal();
    if (refusal !== undefined) return refusal;
    if (data.length > state.options.entryBytesMax) return { accepted: false, reason: "too_large" };
    const waiting = state.uncommittedBytes;
    if (waiting > 0 && waiting + data.length > state.options.uncommittedBytesMax) {
      return { accepted: false, reason: "busy" };
    }
    const { index, term } = appendOwn(state, { kind: "data", data });
    return { accepted: true, index, term };
  }

  /** On a leader: one server at a time, in force as soon as it is appended. `data` comes with it in `ready().committed`. */
  proposeMembership(change: MembershipChange, data?: Uint8Array): ProposeResult {
    const state = this.#state;
    const refusal = this.#refusal();
    if (refusal !== undefined) return refusal;
    if ((data?.length ?? 0) > state.options.entryBytesMax) return { accepted: false, reason: "too_large" };
    const next = changedMembership(state, change);
    if ("refused" in next) return { accepted: false, reason: next.refused, state: next.state };
    const { index, term } = appendOwn(state, {
      kind: "membership",
      membership: next,
      ...(data === undefined ? {} : { data }),
    });
    return { accepted: true, index, term };
  }

  /**
   * Asks for an index that a linearizable read must wait for; it comes in `ready().readStates` under `context`, which must never
   * be used twice in the group's life. It may never come (messages get lost): ask again. False: no leader, or too many wait.
   */
  readIndex(context: string): boolean {
    return requestRead(this.#state, context);
  }

  /** On a leader: hands leadership to a voter. Proposals are refused meanwhile; given up after an election time-out. */
  transferLeader(to: NodeId): boolean {
    const state = this.#state;
    const progress = state.progress.get(to);
    if (state.role !== "leader" || progress === undefined || !state.voters.includes(to)) return false;
    state.transferee = to;
    state.electionElapsed = 0;
    if (progress.match === state.log.lastIndex) maybeTransfer(state, to, progress);
    else sendAppend(state, to, progress, true);
    return true;
  }

  /** The transport could not deliver to that node. */
  reportUnreachable(id: NodeId): void {
    const progress = this.#state.progress.get(id);
    if (progress?.state === "replicate") progress.toProbe();
  }

  /** The transport knows what became of a snapshot it was given; without a report it is sent again after `snapshotTicks`. */
  reportSnapshot(id: NodeId, delivered: boolean): void {
    const progress = this.#state.progress.get(id);
    if (progress?.state !== "snapshot") return;
    if (delivered) progress.toProbe();
    else progress.snapshotFailed();
    // It probes when it answers, not before.
    progress.probeSent = true;
  }

  /**
   * What a snapshot of the state machine after entry `index`, the last one applied, must carry. Null when a newer snapshot from
   * the leader is already on its way in.
   */
  describeSnapshot(index: number, data: Uint8Array): Snapshot | null {
    const { log } = this.#state;
    const term = log.term(index);
    if (term === undefined || log.installing !== null) return null;
    if (index > log.applied)
      throw new RangeError(`Cannot describe a snapshot at ${index}: it is not applied`);
    return { index, term, membership: log.membershipAt(index), data };
  }

  /**
   * The snapshot is durable: entries before it go, but for the newest `keepEntries` (and at most `keepBytes` of them), which spare slow
   * followers a snapshot.
   */
  compact(snapshot: Snapshot, keepEntries: number, keepBytes: number = Number.POSITIVE_INFINITY): void {
    const { log } = this.#state;
    // A newer one, from the leader, may have come in the meantime.
    if (snapshot.index <= log.snapshot.index) return;
    log.compact(snapshot, log.floor(snapshot.index, keepEntries, keepBytes));
  }

  hasReady(): boolean {
    const state = this.#state;
    const { log } = state;
    return (
      this.#outstanding === null &&
      (state.messages.length > 0 ||
        state.readStates.length > 0 ||
        (state.role === "leader" && (state.entriesToSend || state.commitToSend)) ||
        log.installing !== null ||
        log.stable < log.lastIndex ||
        this.#applicable() > log.applied ||
        !sameHardState(this.#currentHardState(), this.#hardState))
    );
  }

  /**
   * What is to be done, in this order: make `snapshot`, `hardState` and `entries` durable (one fsync when `mustSync`), send
   * `messages`, apply `committed`, answer reads whose index is applied; then `advance`. Never two without an advance between.
   */
  ready(): Ready {
    if (this.#outstanding !== null) throw new Error("Cannot take a ready: the one before was not advanced");
    const state = this.#state;
    const { log } = state;
    flushAppends(state);
    const current = this.#currentHardState();
    const hardState = sameHardState(current, this.#hardState) ? null : current;
    const entries =
      log.stable < log.lastIndex ? log.slice(log.stable + 1, log.lastIndex, Number.POSITIVE_INFINITY) : [];
    const upTo = this.#applicable();
    const committed =
      log.applied < upTo ? log.slice(log.applied + 1, upTo, state.options.committedBytesMax) : [];
    const termOrVoteChanged = current.term !== this.#hardState.term || current.vote !== this.#hardState.vote;
    const ready: Ready = {
      hardState,
      entries,
      snapshot: log.installing,
      committed,
      messages: state.messages,
      readStates: state.readStates,
      termOrVoteChanged,
      mustSync: entries.length > 0 || log.installing !== null || termOrVoteChanged,
    };
    state.messages = [];
    state.readStates = [];
    this.#outstanding = ready;
    return ready;
  }

  /** Everything in the last `ready` is done. */
  advance(): void {
    const ready = this.#outstanding;
    if (ready === null) throw new Error("Cannot advance: no ready is outstanding");
    this.#outstanding = null;
    const state = this.#state;
    const { log } = state;
    if (ready.hardState !== null) this.#hardState = ready.hardState;
    if (ready.snapshot !== null && log.installing === ready.snapshot) log.installing = null;
    const applied = ready.committed.at(-1)?.index ?? 0;
    if (applied > log.applied) log.applied = applied;
    const last = ready.entries.at(-1);
    // Only if it is still there: a new leader may have replaced it while it was being written.
    if (last !== undefined && last.index > log.stable && log.matches(last.index, last.term)) {
      log.stable = last.index;
      if (state.role === "leader") maybeCommit(state);
    }
  }

  /** Term of the entry at `index`; undefined when it is compacted or not there. */
  termAt(index: number): number | undefined {
    return this.#state.log.term(index);
  }

  status(): Status {
    const { id, role, term, vote, leader, log, transferee, progress } = this.#state;
    return {
      id,
      role,
      term,
      vote,
      leader,
      commit: log.committed,
      applied: log.applied,
      lastIndex: log.lastIndex,
      membership: log.membership,
      transferee,
      match: Object.fromEntries([...progress].map(([other, { match }]) => [other, match])),
    };
  }

  #tickLeader(): void {
    const state = this.#state;
    for (const progress of state.progress.values()) progress.snapshotElapsed += 1;
    if (state.electionElapsed >= state.options.electionTicks) {
      state.electionElapsed = 0;
      const active = state.voters.filter((id) => id === state.id || state.progress.get(id)?.active === true);
      if (active.length < majority(state.voters)) {
        state.becomeFollower(state.term, null);
        return;
      }
      for (const progress of state.progress.values()) progress.active = false;
      state.transferee = null;
    }
    state.heartbeatElapsed += 1;
    if (state.heartbeatElapsed < state.options.heartbeatTicks) return;
    state.heartbeatElapsed = 0;
    broadcastHeartbeat(state);
  }

  #handle(message: Message): void {
    const state = this.#state;
    switch (message.kind) {
      case "vote":
      case "pre_vote":
        handleVoteRequest(state, message);
        break;
      case "vote_response":
      case "pre_vote_response":
        handleVoteResponse(state, message);
        break;
      case "append":
      case "heartbeat":
      case "snapshot":
        this.#fromLeader(message);
        break;
      case "append_response":
        if (state.role === "leader") handleAppendResponse(state, message);
        break;
      case "append_rejected":
        if (state.role === "leader") handleAppendRejected(state, message);
        break;
      case "heartbeat_response":
        if (state.role === "leader") handleHeartbeatResponse(state, message);
        break;
      case "timeout_now":
        if (state.role !== "leader") campaign(state, "vote", true);
        break;
      case "read_index":
        if (state.role === "leader") leaderRead(state, message);
        break;
      case "read_index_response":
        state.readStates.push({ context: message.context, index: message.index });
        break;
    }
  }

  #fromLeader(message: Message & { kind: "append" | "heartbeat" | "snapshot" }): void {
    const state = this.#state;
    if (state.role === "leader")
      throw new Error(`Raft is broken: ${message.from} also leads in term ${state.term}`);
    if (state.role === "follower") {
      state.electionElapsed = 0;
      state.leader = message.from;
    } else {
      state.becomeFollower(state.term, message.from);
    }
    if (message.kind === "append") handleAppend(state, message);
    else if (message.kind === "heartbeat") handleHeartbeat(state, message);
    else handleSnapshot(state, message);
  }

  /** A leader of an old term, or a node that is stuck behind one, learns of the present term by the answer's. */
  #answerOldTerm(message: Message): void {
    const state = this.#state;
    if (isFromLeader(message)) state.send(message.from, { kind: "heartbeat_response", read: 0, commit: 0 });
    else if (message.kind === "pre_vote")
      state.send(message.from, { kind: "pre_vote_response", granted: false });
  }

  #refusal(): Refusal | undefined {
    const state = this.#state;
    if (state.role !== "leader") return { accepted: false, reason: "not_leader", leader: state.leader };
    return state.transferee === null ? undefined : { accepted: false, reason: "transferring" };
  }

  #applicable(): number {
    const { log } = this.#state;
    return log.installing === null ? Math.min(log.committed, log.stable) : log.applied;
  }

  #currentHardState(): HardState {
    const { term, vote, log } = this.#state;
    return { term, vote, commit: Math.min(log.committed, log.stable) };
  }
}

/**
 * Whether a message may be sent before the ready's own writes are durable. A leader's appends, heartbeats and snapshots promise
 * nothing about its own disk; but a term or vote that is being written must be on disk before anyone hears of it.
 */
export function mayLeaveEarly(ready: Ready, message: Message): boolean {
  return !ready.termOrVoteChanged && isFromLeader(message);
}

function isFromLeader(message: Message): message is Message & { kind: "append" | "heartbeat" | "snapshot" } {
  return message.kind === "append" || message.kind === "heartbeat" || message.kind === "snapshot";
}

/** A pre-vote speaks of a term that nobody is in yet. */
function answersToFutureTerm(message: Message): boolean {
  return message.kind === "pre_vote" || (message.kind === "pre_vote_response" && message.granted);
}

function sameHardState(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}
