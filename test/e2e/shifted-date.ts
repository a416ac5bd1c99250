/**
 * Preloaded into processes of the platform (`BUN_OPTIONS=--preload=…`): their calendar is `TEST_DATE_SHIFT_MS` ahead of the machine's, so
 * that a test need not wait for a minute or a week. Timers and the monotonic clock go on as they are.
 */
import { createRequire } from "node:module";
import type { Worker as Thread, WorkerOptions } from "node:worker_threads";

const shiftMs = Number(process.env["TEST_DATE_SHIFT_MS"] ?? 0);
const RealDate = Date;

class ShiftedDate extends RealDate {
  constructor(...given: [] | [number | string | Date] | [number, number, ...number[]]) {
    if (given.length === 0) super(ShiftedDate.now());
    else super(...(given as [number]));
  }

  static override now(): number {
    return RealDate.now() + shiftMs;
  }
}

globalThis.Date = ShiftedDate as DateConstructor;

// Threads are given the same calendar, whichever way they are started.
const preload = [import.meta.path];
const WebWorker = Worker;
globalThis.Worker = function (url: string | URL, options?: object) {
  return new WebWorker(url, { ...options, preload });
} as unknown as typeof Worker;
// By require: an import would fix the module's names before they are changed.
const threads = createRequire(import.meta.url)("node:worker_threads") as { Worker: typeof Thread };
threads.Worker = class extends threads.Worker {
  constructor(url: string | URL, options?: WorkerOptions) {
    super(url, { ...options, preload } as WorkerOptions);
  }
};
