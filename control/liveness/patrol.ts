import type { Logger } from "pino";
import type { Incarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../clock.ts";
import { declareDead } from "../domain/end-worker.ts";
import { workerKey } from "../domain/keys.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import { serves } from "../domain/worker-states.ts";
import type { Brake } from "./brake.ts";
import type { Leases } from "./leases.ts";

export interface PatrolParts {
  table: Table;
  runner: Runner;
  leases: Leases;
  brake: Brake;
  /** Whether control reaches the object store; nobody is given up while it does not. */
  storeReachable: (signal: AbortSignal) => Promise<boolean>;
  clock: Clock;
  log: Logger;
}

/** Writes the one transition that liveness has: a worker whose lease ran out is dead. Runs on the leader. */
export class Patrol {
  readonly #parts: PatrolParts;
  #braked = false;

  constructor(parts: PatrolParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, leases, log } = this.#parts;
    while (!signal.aborted) {
      leases.tick(clock.monotonicMs());
      try {
        await this.sweep(signal);
      } catch (error) {
        if (!signal.aborted) log.warn({ error }, "cannot give up silent workers now");
      }
      await clock.sleep(limits.livenessTickMs, signal).catch(() => undefined);
    }
  }

  /** Gives up every worker whose lease has run out, as far as the brake allows. */
  async sweep(signal: AbortSignal): Promise<void> {
    const { table, leases, brake, clock, storeReachable } = this.#parts;
    const silent = leases.expired();
    if (silent.length === 0) {
      this.#braked = false;
      return;
    }
    if (!(await storeReachable(signal))) {
      this.#alert(silent.length, "control does not reach the object store");
      return;
    }
    for (const incarnation of silent) {
      if (!serves(table.get(workerKey(incarnation)))) {
        leases.remove(incarnation);
        continue;
      }
      // The probe and earlier deaths took time: it may have beaten meanwhile.
      if (!leases.hasExpired(incarnation)) continue;
      if (!brake.admit(clock.monotonicMs(), this.#serving())) {
        this.#alert(silent.length, "too many fell silent at once");
        return;
      }
      await this.#giveUp(incarnation, signal);
    }
  }

  async #giveUp(incarnation: Incarnation, signal: AbortSignal): Promise<void> {
    const { runner, leases, log } = this.#parts;
    const seq = leases.last(incarnation)?.seq;
    const why = leases.why(incarnation);
    const fact = { why, ...(seq === undefined ? {} : { seq }) };
    const meta = runner.meta("control");
    await runner.run((view) => declareDead(view, meta, incarnation, fact), signal);
    leases.remove(incarnation);
    log.warn({ incarnation, why }, "worker is dead");
  }

  #serving(): number {
    let count = 0;
    for (const worker of this.#parts.table.workers()) if (serves(worker)) count++;
    return count;
  }

  #alert(silent: number, why: string): void {
    if (this.#braked) return;
    this.#braked = true;
    this.#parts.log.error(
      { alert: "mass-death", silent, why },
      "workers fell silent and are not given up yet",
    );
  }
}
