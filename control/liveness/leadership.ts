import type { Logger } from "pino";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Clock } from "../clock.ts";
import { nameCluster } from "../domain/cluster.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import { serves } from "../domain/worker-states.ts";
import type { ReplicatedStore } from "../store/contract.ts";
import { keepHouse } from "./housekeeping.ts";
import { Brake } from "./brake.ts";
import { WorkerChecks } from "./check-worker.ts";
import { Leases } from "./leases.ts";
import { checkRollback, claimBlock, claimedBlocks } from "./number-blocks.ts";
import { Patrol } from "./patrol.ts";
import { StoreProbe } from "./store-probe.ts";

/** What exists only while this replica leads. */
export interface Term {
  /** The block of incarnation numbers to give from, claimed by this term; claims another when it is used up. */
  block: () => Promise<number>;
  clusterId: string;
  leases: Leases;
  checks: WorkerChecks;
  /** Aborts when the leadership ends. */
  signal: AbortSignal;
}

export interface LeadershipParts {
  store: ReplicatedStore;
  objects: ObjectStore;
  table: Table;
  runner: Runner;
  /** What runs on the leader besides the patrol, until the signal aborts: each finds its work in the state. */
  sweepers: readonly ((signal: AbortSignal) => Promise<void>)[];
  clock: Clock;
  fetch: typeof fetch;
  log: Logger;
}

export type LeadershipState = "starting" | "following" | "leading" | { refused: SystemError };

/** Starts a term when the store says that this replica leads, runs the sweepers in it, and ends it with the leadership. */
export class Leadership {
  readonly #parts: LeadershipParts;
  #term: Term | undefined;
  #state: LeadershipState = "starting";
  /** Why there is no term although this replica is the leader. */
  #obstacle: SystemError | undefined;
  readonly #listeners = new Set<(state: LeadershipState) => void>();

  constructor(parts: LeadershipParts) {
    this.#parts = parts;
  }

  get current(): Term | undefined {
    return this.#term;
  }

  /** @throws SystemError `control_no_leader`, or what keeps this leader from leading (`control_rolled_back`, `store_unavailable`) */
  require(): Term {
    if (this.#term !== undefined) return this.#term;
    if (this.#obstacle !== undefined) throw this.#obstacle;
    throw new SystemError("control_no_leader", "Cannot do this here: this replica of control does not lead", {
      hint: "Ask another replica, or ask again in a moment.",
      retryAfterMs: 1000,
    });
  }

  /** Resolves when this replica leads, follows, or refuses to lead. */
  settled(signal: AbortSignal): Promise<Exclude<LeadershipState, "starting">> {
    return new Promise((resolve, reject) => {
      const look = (state: LeadershipState): void => {
        if (state === "starting") return;
        this.#listeners.delete(look);
        signal.removeEventListener("abort", stop);
        resolve(state);
      };
      const stop = (): void => {
        this.#listeners.delete(look);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", stop, { once: true });
      this.#listeners.add(look);
      look(this.#state);
    });
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    let stop: AbortController | undefined;
    let running: Promise<void> = Promise.resolve();
    const end = async (): Promise<void> => {
      stop?.abort(new SystemError("control_no_leader", "Cannot go on: this replica leads no longer"));
      this.#term = undefined;
      this.#obstacle = undefined;
      await running;
    };
    try {
      for await (const { leader, term } of this.#parts.store.leadership(signal)) {
        await end();
        if (!leader) {
          this.#become("following");
          continue;
        }
        this.#become("starting");
        stop = new AbortController();
        running = this.#lead(term, AbortSignal.any([signal, stop.signal]));
      }
    } finally {
      await end();
    }
  }

  async #lead(number: number, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    while (!signal.aborted) {
      try {
        const { term, patrol } = await this.#begin(signal);
        this.#term = term;
        this.#obstacle = undefined;
        this.#become("leading");
        log.info({ term: number }, "leading");
        await Promise.all([
          patrol.run(signal),
          keepHouse(this.#parts, signal),
          ...this.#parts.sweepers.map((sweep) => sweep(signal)),
        ]);
        return;
      } catch (error) {
        if (signal.aborted) return;
        log.error({ error }, "cannot lead");
        this.#obstacle = asObstacle(error);
        if (this.#obstacle.code === "control_rolled_back") {
          this.#become({ refused: this.#obstacle });
          return;
        }
      }
      await clock.sleep(limits.controlRetryMsMax, signal).catch(() => undefined);
    }
  }

  async #begin(signal: AbortSignal): Promise<{ term: Term; patrol: Patrol }> {
    const { table, runner, objects, clock, log } = this.#parts;
    await runner.confirm(signal);
    await checkRollback(this.#parts, signal);
    const block = claimedBlocks(this.#parts, await claimBlock(this.#parts, signal), signal);
    const meta = runner.meta("control");
    const id = crypto.randomUUID();
    const clusterId = await runner.run((view) => nameCluster(view, meta, id), signal);
    const leases = new Leases(clock.monotonicMs());
    for (const worker of table.workers()) if (serves(worker)) leases.add(worker.incarnation);
    const probe = new StoreProbe(objects, clock);
    const storeReachable = (signal: AbortSignal): Promise<boolean> => probe.reachable(signal);
    const patrol = new Patrol({ table, runner, leases, brake: new Brake(), storeReachable, clock, log });
    const checks = new WorkerChecks({ ...this.#parts, leases, patrol });
    return { term: { block, clusterId, leases, checks, signal }, patrol };
  }

  #become(state: LeadershipState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }
}

function asObstacle(error: unknown): SystemError {
  if (error instanceof SystemError) return error;
  return new SystemError("control_no_leader", "Cannot lead yet: starting the term failed", {
    cause: error,
    retryAfterMs: 1000,
  });
}
