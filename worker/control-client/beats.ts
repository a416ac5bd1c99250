import { Worker } from "node:worker_threads";
import { SystemError } from "../../shared/errors.ts";
import type { Incarnation, LogSeq } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";
import type { Lease } from "./lease.ts";
import type { SharedFacts } from "./shared-facts.ts";

export interface BeatThreadData {
  memory: SharedArrayBuffer;
  url: string;
  keys: Keyring;
  incarnation: Incarnation;
  leaseMs: number;
  beatMs: number;
}

export interface BeatsOptions {
  facts: SharedFacts;
  lease: Lease;
  url: string;
  keys: Keyring;
  incarnation: Incarnation;
  leaseMs: number;
  beatMs: number;
  /** Read at every tick of the main thread. */
  state: () => { durableSeq: LogSeq; tenants: number; draining: boolean };
}

export interface Beats {
  /** Aborted when control has declared this incarnation dead, or the thread has failed. */
  readonly dead: AbortSignal;
  /** Aborted when the wall clock is too far off control's: the worker leaves while its calls are still believed. */
  readonly drifted: AbortSignal;
  stop(): Promise<void>;
}

/**
 * Renews the lease from a thread of its own, so that a main thread that is busy for a second (a large restore, a burst of loads) is not
 * taken for a dead worker. One that has not ticked for `mainThreadStallMsMax` is: then the thread stops beating.
 */
export function startBeats(options: BeatsOptions): Beats {
  const { facts, lease, state } = options;
  const { url, keys, incarnation, leaseMs, beatMs } = options;
  const dead = new AbortController();
  let stopped = false;
  const tick = (): void => {
    const { durableSeq, tenants, draining } = state();
    facts.durableSeq[0] = durableSeq;
    facts.tenants[0] = tenants;
    facts.draining[0] = draining ? 1 : 0;
    facts.tickMs[0] = lease.now();
    if (keys.byId !== known) {
      known = keys.byId;
      thread?.postMessage(plainKeys(keys), []);
    }
    const skewMs = facts.skewMs[0] ?? 0;
    if (Math.abs(skewMs) > limits.clockDriftMsMax && !drifted.signal.aborted) {
      drifted.abort(
        new SystemError(
          "fenced",
          `Cannot go on: this machine's clock is ${Math.round(skewMs)} ms ahead of control's`,
          { hint: "Set the clock (run an NTP client) and start the worker again." },
        ),
      );
    }
  };
  let known = keys.byId;
  let thread: Worker | undefined;
  const drifted = new AbortController();
  tick();
  const timer = setInterval(tick, limits.mainThreadTickMs);
  const plain = { memory: facts.memory, url, incarnation, leaseMs, beatMs };
  const data: BeatThreadData = { ...plain, keys: plainKeys(keys) };
  const beating = new Worker(new URL("./beat-thread.ts", import.meta.url), { workerData: data });
  thread = beating;
  const over = (cause?: unknown): void => {
    if (stopped) return;
    const why =
      facts.dead[0] === 1
        ? "control declared this worker dead"
        : "the thread that renews the lease has ended";
    dead.abort(new SystemError("fenced", `Cannot go on: ${why}`, { cause }));
  };
  beating.on("error", over);
  beating.on("exit", () => over());
  return {
    dead: dead.signal,
    drifted: drifted.signal,
    async stop() {
      stopped = true;
      clearInterval(timer);
      await beating.terminate();
    },
  };
}

/** As plain data: a keyring with behaviour does not arrive in a thread. */
function plainKeys({ signing, byId }: Keyring): Keyring {
  return { signing, byId };
}
