/** Vocabulary of the core. All of it is plain data: it may be copied, stored and sent as it is. */

export type NodeId = string;

/** Who votes and who only receives. A node is in at most one of the two. */
export interface Membership {
  voters: readonly NodeId[];
  learners: readonly NodeId[];
  /** Where nodes are reached, as far as known; opaque to the core, which only carries it along. */
  addresses?: Readonly<Record<NodeId, string>>;
}

/** One server at a time: a new one starts as a learner and is promoted when it has caught up. */
export type MembershipChange =
  | { kind: "add_learner"; id: NodeId; address?: string }
  | { kind: "promote"; id: NodeId }
  | { kind: "remove"; id: NodeId }
  /** Nobody joins or leaves: a member has moved. */
  | { kind: "address"; id: NodeId; address: string };

/**
 * `noop` opens a leader's term. `membership` holds the whole membership from its index on, and may carry `data` for the state
 * machine, so that a change of members and what is told of it happen together or not at all.
 */
export type Entry =
  | { index: number; term: number; kind: "data"; data: Uint8Array }
  | { index: number; term: number; kind: "noop" }
  | { index: number; term: number; kind: "membership"; membership: Membership; data?: Uint8Array };

/** What must survive a crash besides entries. `commit` is a lower bound and never above what is durable here. */
export interface HardState {
  term: number;
  vote: NodeId | null;
  commit: number;
}

/** The state machine after the entry at `index`. `data` belongs to the driver (the state itself, or a reference to it). */
export interface Snapshot {
  index: number;
  term: number;
  membership: Membership;
  data: Uint8Array;
}

export type MessageBody =
  /** `transfer`: the leader asked for it, so a live leader is no reason to ignore it. */
  | { kind: "pre_vote" | "vote"; lastIndex: number; lastTerm: number; transfer: boolean }
  | { kind: "pre_vote_response" | "vote_response"; granted: boolean }
  | { kind: "append"; previousIndex: number; previousTerm: number; entries: readonly Entry[]; commit: number }
  /** The sender's log matches the leader's up to `index`. */
  | { kind: "append_response"; index: number }
  /** It has no entry (`previousIndex`, `previousTerm`); the logs can only match at or before `hintIndex`, of term `hintTerm`. */
  | { kind: "append_rejected"; previousIndex: number; hintIndex: number; hintTerm: number }
  /** `read`: the newest read the leader wants confirmed. */
  | { kind: "heartbeat"; commit: number; read: number }
  /** `commit`: the sender's log matches the leader's up to there, as with `append_response`; in case that one was lost. */
  | { kind: "heartbeat_response"; read: number; commit: number }
  | { kind: "snapshot"; snapshot: Snapshot }
  | { kind: "timeout_now" }
  | { kind: "read_index"; context: string }
  | { kind: "read_index_response"; context: string; index: number };

export type Message = { from: NodeId; to: NodeId; term: number } & MessageBody;

export type Role = "follower" | "pre_candidate" | "candidate" | "leader";

/** A read asked for with `context` sees everything it must once the entry at `index` is applied. */
export interface ReadState {
  context: string;
  index: number;
}

/** See `RaftCore.ready`. */
export interface Ready {
  /** To be made durable; null when unchanged. */
  hardState: HardState | null;
  /** To be made durable; they replace every stored entry from the first one's index on. */
  entries: readonly Entry[];
  /** To be made durable, and the state machine restored from it; all stored entries go. */
  snapshot: Snapshot | null;
  /** To be applied, in order. Already durable here, so applying need not wait for this ready's own writes. */
  committed: readonly Entry[];
  /** To be sent once hardState, snapshot and entries are durable (a few may leave before: `mayLeaveEarly`). */
  messages: readonly Message[];
  readStates: readonly ReadState[];
  termOrVoteChanged: boolean;
  /** Whether the writes need an fsync: false when only `hardState.commit` changed. */
  mustSync: boolean;
}

export type Refusal =
  | { accepted: false; reason: "not_leader"; leader: NodeId | null }
  | { accepted: false; reason: "transferring" | "too_large" | "busy" }
  | { accepted: false; reason: "not_ready" | "invalid_change"; state: string };

export type ProposeResult = { accepted: true; index: number; term: number } | Refusal;

/** What a node starts from. A new cluster: term 0, no entries, the same snapshot at index 0 with its voters everywhere. */
export interface InitialState {
  hardState: HardState;
  snapshot: Snapshot;
  /** Contiguous. May begin before snapshot.index + 1, never after. */
  entries: readonly Entry[];
}

export interface Status {
  id: NodeId;
  role: Role;
  term: number;
  vote: NodeId | null;
  leader: NodeId | null;
  commit: number;
  applied: number;
  lastIndex: number;
  membership: Membership;
  transferee: NodeId | null;
  /** Of each other node, on a leader: the last index known to match. */
  match: Readonly<Record<NodeId, number>>;
}
