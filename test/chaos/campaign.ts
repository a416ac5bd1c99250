import { checkLinearizable } from "../simulation/linearizability/check.ts";
import { History } from "../simulation/linearizability/history.ts";
import { RecordingClient } from "../simulation/linearizability/recording-client.ts";
import type { Random } from "../simulation/random.ts";
import type { ChaosTarget } from "./target.ts";

export const FAULTS = ["kills", "pauses", "cuts", "hangs"] as const;
export type Faults = Record<(typeof FAULTS)[number], number>;

export interface Outcome {
  faults: Faults;
  events: number;
  /** From each kill of a leader to the next write that was acknowledged. */
  failoversMs: number[];
}

const KEYS = ["a", "b", "c", "d", "e"];
const CLIENTS = 6;
/** A storm lasts until it had as many, also where one fault takes long. */
const FAULTS_MIN = 3;
const STORM_MS_MAX = 45_000;
const CALM_MS = 30_000; // a busy machine is no broken promise; it ends as soon as there is progress

/** Torments the target for a while, lets it heal, and checks everything that clients saw. @throws when a promise was broken */
export async function torment(target: ChaosTarget, random: Random, stormMs: number): Promise<Outcome> {
  let moment = 0;
  const history = new History(() => ++moment);
  let stopped = false;
  let broken: unknown;
  const clients = Array.from({ length: CLIENTS }, (_, i) => {
    return new RecordingClient({
      name: `c${i}-${random.below(1e9)}`,
      keys: KEYS,
      history,
      random,
      target: () => random.pick(target.stores),
      pause: () => Bun.sleep(random.below(15)),
      stopped: () => stopped,
    });
  });
  const running = clients.map((client) => client.run().catch((error: unknown) => (broken ??= error)));
  const answered = (): number => clients.reduce((sum, client) => sum + client.answered, 0);
  const outcome: Outcome = { faults: { kills: 0, pauses: 0, cuts: 0, hangs: 0 }, events: 0, failoversMs: [] };
  const startedMs = performance.now();
  const elapsedMs = (): number => performance.now() - startedMs;
  const faults = (): number => FAULTS.reduce((sum, kind) => sum + outcome.faults[kind], 0);
  const raging = (): boolean =>
    elapsedMs() < stormMs || (faults() < FAULTS_MIN && elapsedMs() < STORM_MS_MAX);
  while (raging() && broken === undefined) {
    await Bun.sleep(200 + random.below(500));
    await fault(target, random, outcome, history);
  }
  target.heal();
  const before = answered();
  const calmMs = performance.now() + CALM_MS;
  while (performance.now() < calmMs && answered() < before + 50 && broken === undefined) await Bun.sleep(50);
  const stuck = answered() < before + 50 && broken === undefined ? await snapshots(target, answered) : [];
  stopped = true;
  await Promise.all(running);
  if (broken !== undefined) throw broken;
  if (stuck.length > 0) throw new Error(`no progress after all faults had ended:\n${stuck.join("\n")}`);
  for (const key of KEYS) {
    for (const client of clients) await client.read(key);
  }
  outcome.events = history.events.length;
  const verdict = checkLinearizable(history.events);
  if (!verdict.linearizable) throw new Error(`not linearizable: ${JSON.stringify(verdict)}`);
  return outcome;
}

/** What the members say, a few times: whether they are stuck or only slow. */
async function snapshots(target: ChaosTarget, answered: () => number): Promise<string[]> {
  const lines: string[] = [];
  for (let i = 0; i < 4; i++) {
    lines.push(`${answered()} answered; ${(await target.describe()).join("; ")}`);
    await Bun.sleep(1_000);
  }
  return lines;
}

async function fault(target: ChaosTarget, random: Random, outcome: Outcome, history: History): Promise<void> {
  const leader = await target.leader();
  const name = leader !== undefined && random.chance(0.6) ? leader : random.pick(target.names);
  const dice = random.next();
  if (dice < 0.4) {
    target.signal(name, "SIGKILL");
    outcome.faults.kills += 1;
    if (name === leader) outcome.failoversMs.push(await untilWrite(history));
    await Bun.sleep(random.below(600));
    await target.start(name);
  } else if (dice < 0.65) {
    target.signal(name, "SIGSTOP");
    outcome.faults.pauses += 1;
    await Bun.sleep(200 + random.below(2_000));
    target.signal(name, "SIGCONT");
  } else {
    const how = random.chance(0.5) ? "closed" : "hanging";
    target.cut(name, how);
    outcome.faults[how === "closed" ? "cuts" : "hangs"] += 1;
    await Bun.sleep(200 + random.below(2_000));
    target.heal();
  }
}

/** A write that was called after the kill counts, so that one already on its way does not. */
async function untilWrite(history: History): Promise<number> {
  const startedMs = performance.now();
  const since = history.now();
  while (performance.now() - startedMs < 10_000) {
    const done = history.events.findLast((event) => {
      const { kind } = event.operation;
      return (
        event.calledAt > since && (kind === "write" || kind === "swap") && Number.isFinite(event.returnedAt)
      );
    });
    if (done !== undefined) break;
    await Bun.sleep(5);
  }
  return performance.now() - startedMs;
}
