import { SystemError } from "../../../shared/errors.ts";
import type { StoredResult } from "../../store/remembered-results.ts";
import type { Entry } from "../core/types.ts";

interface Pending {
  term: number;
  deadlineMs: number;
  resolve(result: StoredResult): void;
  reject(error: unknown): void;
}

/** Proposals in the log whose fate is open, by index. */
export class Proposals {
  readonly #pending = new Map<number, Pending>();

  get size(): number {
    return this.#pending.size;
  }

  add(
    position: { index: number; term: number },
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<StoredResult> {
    return new Promise((resolve, reject) => {
      // An entry of an older term at this index was replaced: the new leader's log says so.
      this.#pending.get(position.index)?.reject(notApplied());
      const pending: Pending = { term: position.term, deadlineMs, resolve, reject };
      this.#pending.set(position.index, pending);
      if (signal === undefined) return;
      const abort = (): void => {
        if (this.#pending.get(position.index) === pending) this.#pending.delete(position.index);
        reject(unknownFate("the caller gave up waiting", signal.reason));
      };
      signal.addEventListener("abort", abort, { once: true });
      pending.resolve = (result) => {
        signal.removeEventListener("abort", abort);
        resolve(result);
      };
      pending.reject = (error) => {
        signal.removeEventListener("abort", abort);
        reject(error);
      };
      if (signal.aborted) abort();
    });
  }

  /** The entry that was committed at its index: either the proposal itself, or one that took its place for good. */
  applied(entry: Entry, result: StoredResult | undefined): void {
    const pending = this.#pending.get(entry.index);
    if (pending === undefined) return;
    this.#pending.delete(entry.index);
    if (pending.term === entry.term && result !== undefined) pending.resolve(result);
    else pending.reject(notApplied());
  }

  /** A snapshot took the place of entries up to `index`. */
  skippedTo(index: number): void {
    this.#rejectWhere((at) => at <= index, unknownFate("this member caught up by a snapshot"));
  }

  expire(nowMs: number): void {
    this.#rejectWhere(
      (_, pending) => pending.deadlineMs <= nowMs,
      unknownFate("no quorum confirmed it in time"),
    );
  }

  rejectAll(error: unknown): void {
    this.#rejectWhere(() => true, error);
  }

  #rejectWhere(which: (index: number, pending: Pending) => boolean, error: unknown): void {
    for (const [index, pending] of this.#pending) {
      if (!which(index, pending)) continue;
      this.#pending.delete(index);
      pending.reject(error);
    }
  }
}

export function unknownFate(state: string, cause?: unknown): SystemError {
  return new SystemError("control_state_unknown", `Cannot say whether the txn was applied: ${state}`, {
    hint: "Send it again with the same id: it is applied at most once.",
    retryAfterMs: 1_000,
    ...(cause === undefined ? {} : { cause }),
  });
}

function notApplied(): SystemError {
  return new SystemError(
    "control_no_leader",
    "Cannot apply txn: the leader changed before it was committed",
    {
      hint: "It was not applied: send it again.",
      retryAfterMs: 100,
    },
  );
}

/** A proposal that was not taken. */
export function refused(reason: string): SystemError {
  return reason === "busy"
    ? new SystemError("overloaded", "Cannot apply txn: too many are waiting to be written", {
        retryAfterMs: 200,
      })
    : new SystemError("control_no_leader", `Cannot apply txn: this member does not lead (${reason})`, {
        hint: "It was not applied: send it again.",
        retryAfterMs: 200,
      });
}
