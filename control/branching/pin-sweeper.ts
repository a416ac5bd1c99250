import type { Logger } from "pino";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { pinKey } from "../../shared/objects/layout.ts";
import type { Clock } from "../clock.ts";
import { forgetPin, giveUpPin } from "../domain/branch-tenant.ts";
import { PREFIXES } from "../domain/keys.ts";
import type { PinRecord } from "../domain/records.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import type { TableWaiters } from "../domain/wait.ts";

export interface PinSweeperParts {
  table: Table;
  waiters: TableWaiters;
  runner: Runner;
  objects: ObjectStore;
  clock: Clock;
  log: Logger;
}

/** Removes pins that no branch needs: of branches that were never made, and of those that were detached. */
export class PinSweeper {
  readonly #parts: PinSweeperParts;

  constructor(parts: PinSweeperParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { waiters } = this.#parts;
    while (!signal.aborted) {
      const found = await this.sweep(signal);
      const patience = found ? [AbortSignal.timeout(limits.pinSweepMs)] : [];
      await waiters.changed([PREFIXES.pin], AbortSignal.any([signal, ...patience])).catch(() => undefined);
    }
  }

  /** @returns whether there is something left to come back for */
  async sweep(signal: AbortSignal): Promise<boolean> {
    const { table, log } = this.#parts;
    for (const pin of [...table.pins()]) {
      if (signal.aborted) break;
      await this.#remove(pin, signal).catch((error: unknown) => {
        if (!signal.aborted) log.warn({ branch: pin.branch, error }, "cannot remove a pin yet");
      });
    }
    return [...table.pins()].length > 0;
  }

  async #remove({ branch }: PinRecord, signal: AbortSignal): Promise<void> {
    const { runner, objects, clock } = this.#parts;
    const oldestMs = clock.nowMs() - limits.pinForgottenMs;
    const pin = await runner.run((view) => giveUpPin(view, branch, oldestMs), signal);
    if (pin === undefined) return;
    await objects.delete([pinKey(pin.parent, branch)], { signal });
    await runner.run((view) => forgetPin(view, branch), signal);
  }
}
