/** Who belongs to the group and who leads it, as an operator changes it; on the leader. */
import { SystemError, UserError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { Member, MemberChange } from "../../store/contract.ts";
import type { RaftCore } from "../core/raft.ts";
import type { MembershipChange, NodeId, Status } from "../core/types.ts";
import { refused } from "./proposals.ts";

/** The replica, as far as it takes part. */
export interface Group {
  core: RaftCore;
  throwIfStopped(): void;
  /** The core was given something to do. */
  changed(): void;
  /** Until the next tick's time, or until who leads has changed. */
  nextTick(): Promise<void>;
  now(): number;
  /** Resolves when the proposal is committed. */
  committed(position: { index: number; term: number }): Promise<void>;
}

export function membersOf({ id: self, membership, leader }: Status, ownUrl: string): Member[] {
  const member = (id: NodeId, role: Member["role"]): Member => {
    return { id, url: (id === self ? ownUrl : membership.addresses?.[id]) ?? "", role };
  };
  const voters = membership.voters.map((id) => member(id, id === leader ? "leader" : "follower"));
  return [...voters, ...membership.learners.map((id) => member(id, "learner"))];
}

/** @throws UserError `conflict`; SystemError `control_no_leader`, `control_state_unknown` */
export async function changeMembers(
  group: Group,
  change: MemberChange,
  ownUrl: string,
  command: Uint8Array | undefined,
): Promise<void> {
  if (change.kind !== "add") {
    await propose(group, { kind: change.kind, id: change.id }, command);
    return;
  }
  const { id: self, membership } = group.core.status();
  // Whoever joins must be able to reach the others, also one that has been alone so far.
  if (membership.addresses?.[self] !== ownUrl) {
    await propose(group, { kind: "address", id: self, address: ownUrl });
  }
  await propose(group, { kind: "add_learner", id: change.id, address: change.url }, command);
}

/** @throws UserError `conflict`; SystemError `control_no_leader` */
export async function transferLeader(group: Group, to: NodeId): Promise<void> {
  group.throwIfStopped();
  const { role, id, membership } = group.core.status();
  if (role !== "leader") throw refused("not_leader");
  if (to === id) return;
  if (!membership.voters.includes(to)) {
    throw new UserError("conflict", `Cannot transfer leadership: ${to} is not a voting member`);
  }
  if (!group.core.transferLeader(to)) throw refused("not_leader");
  group.changed();
  const deadlineMs = group.now() + limits.controlRequestMs;
  for (;;) {
    const { leader, transferee } = group.core.status();
    if (leader !== null && leader !== id) return;
    group.throwIfStopped();
    if ((leader === id && transferee !== to) || group.now() >= deadlineMs) {
      throw new SystemError("control_no_leader", `Cannot transfer leadership: ${to} did not take it`, {
        hint: "It may lag behind or be out of reach; try again.",
        retryAfterMs: 1_000,
      });
    }
    await group.nextTick();
  }
}

async function propose(group: Group, change: MembershipChange, command?: Uint8Array): Promise<void> {
  group.throwIfStopped();
  const proposed = group.core.proposeMembership(change, command);
  if (!proposed.accepted) {
    if (!("state" in proposed)) throw refused(proposed.reason);
    throw new UserError("conflict", `Cannot change members: ${proposed.state}`, {
      ...(proposed.reason === "not_ready" ? { hint: "Try again in a moment.", retryAfterMs: 200 } : {}),
    });
  }
  const done = group.committed(proposed);
  group.changed();
  await done;
}
