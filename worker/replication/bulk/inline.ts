import { jobs } from "./jobs.ts";
import type { BulkWork } from "./work.ts";

/** In the caller's own thread: for small files, and where a simulator owns all order. */
export const inlineWork: BulkWork = {
  async run(kind, job, chunks, signal) {
    const look = (): void => signal.throwIfAborted();
    look();
    return jobs[kind](job, { chunks, look });
  },
};
