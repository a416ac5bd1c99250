import type { Incarnation, LogSeq } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { logKey } from "../../shared/objects/layout.ts";
import type { Clock } from "./clock.ts";
import { WorkTimer } from "./work-timer.ts";

export interface LogTruncatorOptions {
  store: ObjectStore;
  incarnation: Incarnation;
  clock: Clock;
  /** Ends everything. */
  signal: AbortSignal;
  /** Resolves after a PUT to the own log that is sent from now on; rejects when the log was ended by another. */
  prove: () => Promise<void>;
  /** Monotonic send time of the newest PUT to the own log that succeeded. */
  provenMs: () => number;
}

/**
 * Deletes the beginning of the own log. A slot is condemned by a low watermark above it that is durable in the log: all that it
 * held is under prefixes. It goes an hour later, when a PUT since has shown that the log is still ours. The bound of the low
 * watermark keeps the newest slots, which a sealer needs; only own objects stand below it, so no SEAL is ever deleted.
 */
export class LogTruncator {
  readonly #options: LogTruncatorOptions;
  readonly #timer: WorkTimer;
  /** Durable low watermarks, ascending, some minutes apart. */
  #marks: { below: LogSeq; atMs: number }[] = [];
  #newest = 1 as LogSeq;
  /** The lowest slot that was not deleted. */
  #first = 1 as LogSeq;
  #working = false;
  readonly counters = { slots: 0 };

  constructor(options: LogTruncatorOptions) {
    this.#options = options;
    this.#timer = new WorkTimer(options.clock, () => void this.#work());
  }

  /** An object with this low watermark is durable. */
  watermark(below: LogSeq): void {
    if (below <= this.#newest) return;
    this.#newest = below;
    this.#mark();
  }

  close(): void {
    this.#timer.stop();
  }

  #mark(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const last = this.#marks.at(-1);
    if (this.#newest <= (last?.below ?? this.#first)) return;
    if (last !== undefined && nowMs - last.atMs < limits.logTruncateEveryMs) {
      this.#timer.by(last.atMs + limits.logTruncateEveryMs);
      return;
    }
    this.#marks.push({ below: this.#newest, atMs: nowMs });
    this.#timer.by(nowMs + limits.logTruncateAfterMs);
  }

  async #work(): Promise<void> {
    const { signal, clock } = this.#options;
    if (this.#working || signal.aborted) return;
    this.#working = true;
    let retryMs = 0;
    try {
      await this.#deleteDue();
    } catch {
      // The store or the log does not answer; what was not deleted only costs room.
      retryMs = limits.maintenanceRetryMs;
    }
    this.#working = false;
    if (signal.aborted) return;
    this.#mark();
    const [first] = this.#marks;
    if (first === undefined) return;
    const dueMs = first.atMs + limits.logTruncateAfterMs;
    this.#timer.by(Math.max(dueMs, clock.monotonicMs() + retryMs));
  }

  async #deleteDue(): Promise<void> {
    const { store, incarnation, clock, signal, prove, provenMs } = this.#options;
    const nowMs = clock.monotonicMs();
    const due = this.#marks.findLast(({ atMs }) => nowMs - atMs >= limits.logTruncateAfterMs);
    if (due === undefined) return;
    if (nowMs - due.atMs > limits.condemnedMsMax) {
      // This process slept: condemned anew.
      this.#marks = [
        { below: due.below, atMs: nowMs },
        ...this.#marks.filter(({ below }) => below > due.below),
      ];
      return;
    }
    if (provenMs() < due.atMs) await prove();
    while (this.#first < due.below) {
      signal.throwIfAborted();
      const count = Math.min(limits.storeDeleteBatch, due.below - this.#first);
      const keys = Array.from({ length: count }, (_, i) => logKey(incarnation, (this.#first + i) as LogSeq));
      await store.delete(keys, { signal });
      this.#first = (this.#first + count) as LogSeq;
      this.counters.slots += count;
    }
    this.#marks = this.#marks.filter(({ below }) => below > due.below);
  }
}
