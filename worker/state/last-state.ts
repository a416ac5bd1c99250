import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Assignment, CarriedState } from "../../shared/protocol/internal.ts";
import type { Clock } from "../replication/clock.ts";
import type { SealedLogs } from "../replication/sealed-log.ts";

export interface LastStateOptions {
  logs: Pick<SealedLogs, "state">;
  assignment: Assignment;
  clock: Clock;
  signal: AbortSignal;
  /** The values are lost; the tenant is not. */
  warned: (error: SystemError) => void;
}

/**
 * What the owner before had saved: what the newest log that ended under a tenant says, else what a release left with control. A
 * release empties the list of tails, so every one of them is newer. Never rejects.
 */
export async function lastState(options: LastStateOptions): Promise<CarriedState | undefined> {
  const { logs, assignment, clock, signal, warned } = options;
  const late = new AbortController();
  const cancel = clock.after(limits.stateReadMs, () => late.abort(new Error("it took too long")));
  const either = AbortSignal.any([signal, late.signal]);
  try {
    const newestFirst = assignment.tails.toSorted((a, b) => (b.epoch ?? 0) - (a.epoch ?? 0));
    for (const tail of newestFirst) {
      const found = await logs.state(tail, assignment.tenant, either);
      if (found !== undefined) return found;
    }
  } catch (cause) {
    if (signal.aborted) return undefined;
    const code = cause instanceof SystemError ? cause.code : "store_unavailable";
    const state = cause instanceof Error ? cause.message : String(cause);
    const hint = "They start anew. Nothing else is missing.";
    warned(
      new SystemError(code, `Cannot resume the counters of tenant ${assignment.tenant}: ${state}`, {
        ...{ cause, hint },
      }),
    );
    return undefined;
  } finally {
    cancel();
  }
  return assignment.carried;
}
