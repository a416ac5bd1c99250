/** `bun test/simulation/raft/with-bug.ts <number>`: the core's simulator on a core with that bug; prints the first seed that finds it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { plugin } from "bun";
import { BUGS } from "./bugs.ts";

const SEEDS = 1_000;
const STEPS = 2_500;

const bug = BUGS[Number(process.argv[2])];
if (bug === undefined) throw new Error("usage: with-bug <number>");
const path = join(import.meta.dir, "..", "..", "..", "control", "raft", bug.file);
let seeded = false;
plugin({
  name: "bug",
  setup(build) {
    build.onLoad({ filter: /\/control\/raft\/.*\.ts$/ }, (args) => {
      const source = readFileSync(args.path, "utf8");
      if (args.path !== path) return { contents: source, loader: "ts" };
      if (source.split(bug.find).length !== 2) throw new Error(`the place of "${bug.name}" has changed`);
      seeded = true;
      return { contents: source.replace(bug.find, bug.replace), loader: "ts" };
    });
  },
});
const { runSeed, newCoverage } = await import("./run-seed.ts");
if (!seeded) throw new Error(`${bug.file} was not loaded`);
const coverage = newCoverage();
for (let seed = 1; seed <= SEEDS; seed++) {
  try {
    runSeed(seed, STEPS, coverage);
  } catch (error) {
    console.log(`seed ${seed}: ${(error as Error).message}`);
    process.exit(0);
  }
}
console.log(`missed by ${SEEDS} seeds`);
process.exit(1);
