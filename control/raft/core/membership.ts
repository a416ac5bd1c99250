import type { State } from "./state.ts";
import type { Membership, MembershipChange } from "./types.ts";

/**
 * The membership after the change, or why it cannot be made now. Old and new majorities always overlap because one server
 * changes at a time and only after the change before it, and an entry of this term, are committed.
 */
export function changedMembership(
  state: State,
  change: MembershipChange,
): Membership | { refused: "not_ready" | "invalid_change"; state: string } {
  const { voters, learners } = state.log.membership;
  if (!state.committedInTerm) return notReady("the leader has not committed an entry of its term yet");
  if (state.log.membershipIndex > state.log.committed) return notReady("another change is not committed yet");
  const { id } = change;
  const known = { ...state.log.membership.addresses };
  if (change.kind === "add_learner") {
    if (voters.includes(id) || learners.includes(id)) return invalid(`${id} is a member already`);
    if (change.address !== undefined) known[id] = change.address;
    return withAddresses({ voters, learners: [...learners, id] }, known);
  }
  if (change.kind === "address") {
    if (!voters.includes(id) && !learners.includes(id)) return invalid(`${id} is not a member`);
    return withAddresses({ voters, learners }, { ...known, [id]: change.address });
  }
  if (change.kind === "promote") {
    if (!learners.includes(id)) return invalid(`${id} is not a learner`);
    const lag = state.log.lastIndex - (state.progress.get(id)?.match ?? 0);
    if (lag > state.options.promoteLagMax) return notReady(`${id} lacks ${lag} entries`);
    const rest = learners.filter((other) => other !== id);
    return withAddresses({ voters: [...voters, id], learners: rest }, known);
  }
  if (!voters.includes(id) && !learners.includes(id)) return invalid(`${id} is not a member`);
  if (voters.length === 1 && voters[0] === id) return invalid(`${id} is the only voter`);
  delete known[id];
  const next = {
    voters: voters.filter((other) => other !== id),
    learners: learners.filter((other) => other !== id),
  };
  return withAddresses(next, known);
}

function withAddresses(
  { voters, learners }: Membership,
  addresses: Readonly<Record<string, string>>,
): Membership {
  return Object.keys(addresses).length === 0 ? { voters, learners } : { voters, learners, addresses };
}

function notReady(state: string): { refused: "not_ready"; state: string } {
  return { refused: "not_ready", state };
}

function invalid(state: string): { refused: "invalid_change"; state: string } {
  return { refused: "invalid_change", state };
}
