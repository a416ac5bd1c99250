import type { Logger } from "pino";
import type { Incarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { deleteSealedLog } from "../../shared/log/delete-sealed.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { retiredKey } from "../../shared/objects/layout.ts";
import type { Clock } from "../clock.ts";
import { isoTime } from "../domain/audit.ts";
import { sealKey } from "../domain/keys.ts";
import type { SealRecord } from "../domain/records.ts";
import type { Runner } from "../domain/runner.ts";
import type { Table } from "../domain/table.ts";
import { type Command, draft, put } from "../domain/view.ts";

export interface DeadLogsParts {
  table: Table;
  runner: Runner;
  objects: ObjectStore;
  clock: Clock;
  log: Logger;
}

/**
 * Deletes the logs of dead workers an hour after the last tenant dropped them. An incarnation that has ended gets no tenant any
 * more, so what nobody names stays unnamed. Since when that is so stands in the state, whoever leads. The mark `retired` comes
 * first: a restore must not take a log that is going for one that has lost objects.
 */
export class DeadLogs {
  readonly #parts: DeadLogsParts;

  constructor(parts: DeadLogsParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    while (!signal.aborted) {
      await this.sweep(signal).catch((error: unknown) => {
        if (!signal.aborted) log.warn({ error }, "cannot delete dead workers' logs yet");
      });
      await clock.sleep(limits.deadLogPauseMs, signal).catch(() => undefined);
    }
  }

  /** At most deadLogsPerSweep logs, one after the other. */
  async sweep(signal: AbortSignal): Promise<void> {
    const { table, runner, clock } = this.#parts;
    let left: number = limits.deadLogsPerSweep;
    for (const { incarnation, state } of [...table.workers()]) {
      if (left === 0 || signal.aborted) return;
      const seal = table.get(sealKey(incarnation));
      if ((state !== "sealed" && state !== "exited") || seal === undefined || seal.cleared !== undefined)
        continue;
      if (table.isNamed(incarnation)) continue;
      const since = await runner.run(markUnnamed(incarnation, isoTime(clock.nowMs())), signal);
      if (since === undefined || Date.parse(since) + limits.deadLogKeepMs > clock.nowMs()) continue;
      await this.#delete(incarnation, seal, signal);
      left--;
    }
  }

  async #delete(incarnation: Incarnation, { endSeq }: SealRecord, signal: AbortSignal): Promise<void> {
    const { runner, objects, clock, log } = this.#parts;
    const at = isoTime(clock.nowMs());
    await objects.put(
      retiredKey(incarnation),
      new TextEncoder().encode(`${JSON.stringify({ at, endSeq })}\n`),
      { signal },
    );
    const objectsDeleted = await deleteSealedLog(objects, incarnation, endSeq, signal);
    await runner.run((view) => {
      const seal = view.get(sealKey(incarnation));
      if (seal === undefined) return { settled: undefined };
      const key = sealKey(incarnation);
      return { draft: draft(view, [key], [put(key, { ...seal, cleared: at })]), value: undefined };
    }, signal);
    log.info({ incarnation, objectsDeleted }, "deleted a dead worker's log");
  }
}

/** @returns since when nobody names it; undefined when somebody does */
function markUnnamed(incarnation: Incarnation, now: string): Command<string | undefined> {
  return (view) => {
    const key = sealKey(incarnation);
    const seal = view.get(key);
    if (seal === undefined || view.isNamed(incarnation)) return { settled: undefined };
    if (seal.unnamed !== undefined) return { settled: seal.unnamed };
    return { draft: draft(view, [key], [put(key, { ...seal, unnamed: now })]), value: now };
  };
}
