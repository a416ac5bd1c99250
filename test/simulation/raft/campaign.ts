import { newTally, stormMembers } from "./member-storm.ts";
import { newCoverage, runSeed } from "./run-seed.ts";

const CORE_STEPS = 2_500;

/** Many seeds of the core among nodes, then of whole members; ends at the first that breaks something. @returns whether none did */
export async function raftCampaign(
  options: { firstSeed: number; coreSeeds: number; memberSeeds: number },
  say: (line: string) => void,
): Promise<boolean> {
  const { firstSeed, coreSeeds, memberSeeds } = options;
  const coverage = newCoverage();
  const tally = newTally();
  const run = async (what: string, seeds: number, one: (seed: number) => unknown): Promise<boolean> => {
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      try {
        await one(seed);
      } catch (error) {
        say(`${what}, seed ${seed}: ${Bun.inspect(error)}`);
        return false;
      }
    }
    return true;
  };
  const good =
    (await run("raft core", coreSeeds, (seed) => runSeed(seed, CORE_STEPS, coverage))) &&
    (await run("raft members", memberSeeds, (seed) => stormMembers(seed, tally)));
  say(`raft core, ${coreSeeds} seeds: ${Bun.inspect(coverage)}`);
  say(`raft members, ${memberSeeds} seeds: ${Bun.inspect(tally)}`);
  const unseen = [
    ...(coreSeeds === 0 ? [] : Object.entries(coverage)),
    ...(memberSeeds === 0 ? [] : Object.entries(tally)),
  ].filter(([, count]) => count === 0);
  for (const [name] of unseen) say(`never happened: ${name}`);
  return good && unseen.length === 0;
}
