import type { WorkerRecord, WorkerState } from "./records.ts";

/** May serve what it owns: routes name it. */
export function serves(worker: WorkerRecord | undefined): worker is WorkerRecord {
  return worker?.state === "live" || worker?.state === "draining";
}

/** The changes of state that may happen; all others are refused. */
const NEXT: Record<WorkerState, readonly WorkerState[]> = {
  live: ["draining", "dead", "exited"],
  draining: ["dead", "exited"],
  dead: ["sealed"],
  sealed: [],
  exited: [],
};

export function mayBecome(worker: WorkerRecord, state: WorkerState): boolean {
  return NEXT[worker.state].includes(state);
}
