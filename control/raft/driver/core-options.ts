import { limits } from "../../../shared/limits.ts";
import type { NodeId, RaftOptions } from "../core/types.ts";

export function coreOptions(id: NodeId, random: () => number): RaftOptions {
  return {
    id,
    random,
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
  };
}
