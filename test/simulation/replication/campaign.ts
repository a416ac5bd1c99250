import { join } from "node:path";
import { COUNTERS } from "./coverage.ts";
import type { MUTATIONS } from "./mutations.ts";
import type { Outcome } from "./outcome.ts";

const PROCESSES = 2;
const TRACE_LINES_SHOWN = 120;

/** Runs seeds first..first+count-1 in a child process; ends early at a failure. @throws when the child itself failed */
export async function runSeeds(
  first: number,
  count: number,
  mutation?: (typeof MUTATIONS)[number]["name"],
  signal?: AbortSignal,
): Promise<Outcome> {
  const preload = mutation === undefined ? [] : ["--preload", join(import.meta.dir, "mutate.ts")];
  const script = join(import.meta.dir, "run-seeds.ts");
  const child = Bun.spawn(
    [
      process.execPath,
      ...preload,
      script,
      String(first),
      String(count),
      ...(mutation === undefined ? [] : [mutation]),
    ],
    {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...(mutation === undefined ? {} : { SIMULATION_MUTATION: mutation }) },
      ...(signal === undefined ? {} : { signal, killSignal: "SIGKILL" as const }),
    },
  );
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const line = output.trim().split("\n").at(-1) ?? "";
  if ((await child.exited) !== 0 || !line.startsWith("{")) {
    throw new Error(
      `the simulation of seeds ${first} to ${first + count - 1} ended by itself:\n${output}\n${errors}`,
    );
  }
  return JSON.parse(line) as Outcome;
}

/** The same on several processes. The failure with the lowest seed is the one that is told. */
export async function runCampaign(first: number, count: number): Promise<Outcome> {
  const share = Math.ceil(count / PROCESSES);
  const outcomes = await Promise.all(
    Array.from({ length: PROCESSES }, (_, i) => ({ from: i * share, to: Math.min(count, (i + 1) * share) }))
      .filter(({ from, to }) => to > from)
      .map(({ from, to }) => runSeeds(first + from, to - from)),
  );
  const failures = outcomes.flatMap(({ failure }) => (failure === undefined ? [] : [failure]));
  const [failure] = failures.toSorted((a, b) => a.seed - b.seed);
  const sum = (of: (outcome: Outcome) => number): number =>
    outcomes.reduce((total, outcome) => total + of(outcome), 0);
  return {
    seeds: sum(({ seeds }) => seeds),
    steps: sum(({ steps }) => steps),
    faults: sum(({ faults }) => faults),
    counts: Object.fromEntries(COUNTERS.map((name) => [name, sum(({ counts }) => counts[name] ?? 0)])),
    traceHash: outcomes.map(({ traceHash }) => traceHash).join(" "),
    ...(failure === undefined ? {} : { failure }),
  };
}

/** What to tell of a failed seed: the complaint, how to run it alone, and its last steps. */
export function describeFailure({ seed, message, trace }: NonNullable<Outcome["failure"]>): string {
  const lines = trace.slice(-TRACE_LINES_SHOWN).join("\n");
  const alone = `SIMULATION_TRACE_LINES=100000 bun test/simulation/replication/run-seeds.ts ${seed} 1`;
  return `seed ${seed}: ${message}\n${lines}\nAlone, with its whole trace: ${alone}`;
}

export function describeCoverage({ seeds, steps, faults, counts }: Outcome): string {
  const lines = COUNTERS.map((name) => `  ${String(counts[name] ?? 0).padStart(8)} ${name}`);
  return [`${seeds} seeds, ${steps} steps, ${faults} faults`, ...lines].join("\n");
}
