import type { Logger } from "pino";
import type { Incarnation, LogSeq } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Clock } from "../clock.ts";
import { recordSeal } from "../domain/end-worker.ts";
import { PREFIXES, sealKey, workerKey } from "../domain/keys.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import type { TableWaiters } from "../domain/wait.ts";

/** As sealLog of shared/log/seal.ts: ends the log in the object store and tells where. Running it twice gives the same end. */
export type SealLog = (options: {
  store: ObjectStore;
  incarnation: Incarnation;
  from: LogSeq;
  nonce: string;
  signal: AbortSignal;
}) => Promise<LogSeq>;

export interface SealerParts {
  table: Table;
  waiters: TableWaiters;
  runner: Runner;
  objects: ObjectStore;
  sealLog: SealLog;
  randomBytes: (length: number) => Uint8Array;
  clock: Clock;
  log: Logger;
}

/**
 * Ends the log of every dead worker and records where. Its only memory is the state: a worker that is `dead` has no recorded
 * seal yet, whoever leads next finds it and seals again, and the log's end is the same.
 */
export class Sealer {
  readonly #parts: SealerParts;
  readonly #running = new Set<Incarnation>();

  constructor(parts: SealerParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { waiters } = this.#parts;
    while (!signal.aborted) {
      this.#startJobs(signal);
      await waiters.changed([PREFIXES.worker], signal).catch(() => undefined);
    }
  }

  #startJobs(signal: AbortSignal): void {
    for (const worker of this.#parts.table.workers()) {
      if (this.#running.size >= limits.sealsParallel) return;
      if (worker.state !== "dead" || this.#running.has(worker.incarnation)) continue;
      this.#running.add(worker.incarnation);
      void this.#seal(worker.incarnation, signal).finally(() => {
        this.#running.delete(worker.incarnation);
        if (!signal.aborted) this.#startJobs(signal);
      });
    }
  }

  async #seal(incarnation: Incarnation, signal: AbortSignal): Promise<void> {
    const { table, runner, clock, log } = this.#parts;
    let delayMs: number = limits.sealRetryMsMin;
    while (!signal.aborted && table.get(workerKey(incarnation))?.state === "dead") {
      try {
        const endSeq = table.get(sealKey(incarnation))?.endSeq ?? (await this.#endOf(incarnation, signal));
        const meta = runner.meta("control");
        await runner.run((view) => recordSeal(view, meta, incarnation, endSeq), signal);
        log.info({ incarnation, endSeq }, "sealed the log of a dead worker");
        return;
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ incarnation, error }, "cannot seal the log of a dead worker yet");
        await clock.sleep(delayMs, signal).catch(() => undefined);
        delayMs = Math.min(delayMs * 2, limits.sealRetryMsMax);
      }
    }
  }

  #endOf(incarnation: Incarnation, signal: AbortSignal): Promise<LogSeq> {
    const { table, objects, sealLog, randomBytes } = this.#parts;
    const nonce = [...randomBytes(16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const from = table.get(workerKey(incarnation))?.seq ?? (0 as LogSeq);
    return sealLog({ store: objects, incarnation, from, nonce, signal });
  }
}
