import { limits } from "../../../shared/limits.ts";
import type { NodeId } from "./types.ts";

export interface RaftOptions {
  id: NodeId;
  /** Evenly in [0, 1). */
  random: () => number;
  /** A follower that hears nothing for this many ticks, up to twice of it, asks for votes. */
  electionTicks: number;
  /** Ticks between a leader's heartbeats; well below electionTicks. */
  heartbeatTicks: number;
  /** Bytes of entries in one append message; a single entry may be larger. */
  messageBytesMax: number;
  /** Append messages to one node without an answer. */
  inflightMessagesMax: number;
  inflightBytesMax: number;
  /** Bytes of one proposal. */
  entryBytesMax: number;
  /** Bytes of proposals that are not yet committed; beyond, proposals are refused as busy. */
  uncommittedBytesMax: number;
  /** Bytes of entries in one `ready().committed`; a single entry may be larger. */
  committedBytesMax: number;
  /** Reads that wait for confirmation; beyond, they are refused. */
  pendingReadsMax: number;
  /** A learner is promoted only when it lacks at most this many entries. */
  promoteLagMax: number;
  /** A snapshot without an answer is sent again after this many ticks. */
  snapshotTicks: number;
}

/** Who the node is, and where its randomness comes from; the rest has defaults. */
export type RaftConfig = Pick<RaftOptions, "id" | "random"> & Partial<RaftOptions>;

/** @throws RangeError on tick counts that cannot elect anyone */
export function completeOptions(config: RaftConfig): RaftOptions {
  const options: RaftOptions = {
    electionTicks: limits.raftElectionTicks,
    heartbeatTicks: limits.raftHeartbeatTicks,
    messageBytesMax: limits.raftMessageBytesMax,
    inflightMessagesMax: limits.raftInflightMessagesMax,
    inflightBytesMax: limits.raftInflightBytesMax,
    entryBytesMax: limits.raftEntryBytesMax,
    uncommittedBytesMax: limits.raftUncommittedBytesMax,
    committedBytesMax: limits.raftCommittedBytesMax,
    pendingReadsMax: limits.raftPendingReadsMax,
    promoteLagMax: limits.raftPromoteLagMax,
    snapshotTicks: limits.raftSnapshotTicks,
    ...config,
  };
  if (options.heartbeatTicks < 1 || options.electionTicks <= options.heartbeatTicks) {
    throw new RangeError(
      "Cannot start: electionTicks must be above heartbeatTicks, which must be at least 1",
    );
  }
  return options;
}
