import { COUNTERS, type Coverage, SimulatedCluster } from "./cluster.ts";

const FAULTS_MIN = 5;

export function newCoverage(): Coverage {
  return Object.fromEntries(COUNTERS.map((name) => [name, 0])) as Coverage;
}

/** One storm and the calm after it. Returns the entries that were committed. @throws Violation */
export function runSeed(seed: number, steps: number, coverage: Coverage): number {
  const before = faults(coverage);
  const cluster = new SimulatedCluster(seed, coverage);
  for (let step = 0; step < steps || faults(coverage) - before < FAULTS_MIN; step++) cluster.step();
  cluster.heal();
  return cluster.invariants.committedIndex;
}

function faults({ crashes, crashesOfVoters, partitions, oneWayPartitions, isolations }: Coverage): number {
  return crashes + crashesOfVoters + partitions + oneWayPartitions + isolations;
}
