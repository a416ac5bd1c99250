import type { RaftOptions } from "./options.ts";
import { Progress } from "./progress.ts";
import { RaftLog } from "./raft-log.ts";
import { ReadQueue } from "./read-queue.ts";
import type { InitialState, MessageBody, Message, NodeId, ReadState, Role, Snapshot } from "./types.ts";

/** All that a node knows, changed by the functions beside this file and seen from outside only through RaftCore. */
export class State {
  readonly options: RaftOptions;
  readonly id: NodeId;
  readonly log: RaftLog;
  term: number;
  vote: NodeId | null;
  role: Role = "follower";
  leader: NodeId | null = null;
  /** Follower: ticks since it heard from a leader or voted. Leader: ticks since the last check of the quorum. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** This round's time-out in ticks, drawn anew at every change of role. */
  electionTimeout = 0;
  votes = new Map<NodeId, boolean>();
  /** On a leader: every other node. */
  progress = new Map<NodeId, Progress>();
  transferee: NodeId | null = null;
  readonly reads = new ReadQueue();
  uncommittedBytes = 0;
  /** New entries, or a new commit index, that `ready` must tell the others about. */
  entriesToSend = false;
  commitToSend = false;
  messages: Message[] = [];
  readStates: ReadState[] = [];

  constructor(options: RaftOptions, initial: InitialState) {
    this.options = options;
    this.id = options.id;
    this.log = new RaftLog(initial);
    this.term = Math.max(initial.hardState.term, this.log.lastTerm);
    this.vote = this.term === initial.hardState.term ? initial.hardState.vote : null;
    this.drawElectionTimeout();
  }

  get voters(): readonly NodeId[] {
    return this.log.membership.voters;
  }

  /**
   * Whether it may ask for votes. A node that is being removed still may until that is committed (Raft dissertation, 4.2.2): it
   * can be the only one whose log is new enough to win.
   */
  get promotable(): boolean {
    const { log } = this;
    if (log.installing !== null) return false;
    if (this.voters.includes(this.id)) return true;
    return (
      log.membershipIndex > log.committed &&
      log.membershipAt(log.membershipIndex - 1).voters.includes(this.id)
    );
  }

  get isOnlyVoter(): boolean {
    return this.voters.length === 1 && this.voters[0] === this.id;
  }

  /** A leader knows that its commit index is current only then; membership may change only then. */
  get committedInTerm(): boolean {
    return this.log.matches(this.log.committed, this.term);
  }

  /** How far this node's own log counts towards a quorum: what it has on disk. */
  matchOf(id: NodeId): number {
    return id === this.id ? this.log.stable : (this.progress.get(id)?.match ?? 0);
  }

  send(to: NodeId, body: MessageBody, term: number = this.term): void {
    this.messages.push({ from: this.id, to, term, ...body });
  }

  reset(term: number): void {
    if (term !== this.term) {
      this.term = term;
      this.vote = null;
    }
    this.leader = null;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.drawElectionTimeout();
    this.votes = new Map();
    this.progress = new Map();
    this.transferee = null;
    this.reads.clear();
    this.uncommittedBytes = 0;
    this.entriesToSend = false;
    this.commitToSend = false;
  }

  becomeFollower(term: number, leader: NodeId | null): void {
    this.reset(term);
    this.role = "follower";
    this.leader = leader;
  }

  newProgress(): Progress {
    const { inflightMessagesMax, inflightBytesMax } = this.options;
    return new Progress(this.log.lastIndex + 1, inflightMessagesMax, inflightBytesMax);
  }

  /** Keeps one Progress for each other member of the membership in force. */
  syncProgress(): void {
    const { voters, learners } = this.log.membership;
    const members = new Set([...voters, ...learners]);
    members.delete(this.id);
    for (const id of this.progress.keys()) {
      if (!members.has(id)) this.progress.delete(id);
    }
    for (const id of members) {
      if (this.progress.has(id)) continue;
      const progress = this.newProgress();
      // It counts as heard from, so that adding it does not cost the leader its quorum before the first answer.
      progress.active = true;
      this.progress.set(id, progress);
    }
  }

  installSnapshot(snapshot: Snapshot): void {
    this.log.install(snapshot);
  }

  private drawElectionTimeout(): void {
    const { electionTicks, random } = this.options;
    this.electionTimeout = electionTicks + Math.floor(random() * electionTicks);
  }
}
