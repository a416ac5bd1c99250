import type { NodeId } from "./types.ts";

export function majority(voters: readonly NodeId[]): number {
  return Math.floor(voters.length / 2) + 1;
}

/** The largest index that a majority of voters has; 0 without voters. */
export function quorumIndex(voters: readonly NodeId[], matchOf: (id: NodeId) => number): number {
  const matches = voters.map(matchOf).sort((a, b) => b - a);
  return matches[majority(voters) - 1] ?? 0;
}

export function tally(
  voters: readonly NodeId[],
  votes: ReadonlyMap<NodeId, boolean>,
): "won" | "lost" | "open" {
  const needed = majority(voters);
  const granted = voters.filter((id) => votes.get(id) === true).length;
  const refused = voters.filter((id) => votes.get(id) === false).length;
  if (granted >= needed) return "won";
  return refused > voters.length - needed ? "lost" : "open";
}
