import { SystemError } from "../../shared/errors.ts";

export interface Deadline {
  /** Fires on the caller's abort and on the time-out. */
  readonly signal: AbortSignal;
  /** A long transfer that moves is not late: starts the time over. */
  readonly progress: () => void;
}

/** Told apart from a caller's abort: whether it is an error or an `unknown` is the operation's to say. */
export class DeadlineError extends SystemError {
  constructor(what: string, ms: number) {
    super("store_unavailable", `Cannot ${what}: the object store did not answer within ${ms} ms`);
  }
}

/**
 * Runs `work` and stops waiting for it when the caller's signal fires (throws its reason) or `ms` pass without
 * progress (throws DeadlineError). The work itself may go on: a disk call cannot be taken back.
 */
export async function withDeadline<T>(
  what: string,
  ms: number,
  callerSignal: AbortSignal | undefined,
  work: (deadline: Deadline) => Promise<T>,
): Promise<T> {
  callerSignal?.throwIfAborted();
  const controller = new AbortController();
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const stop = (reason: unknown): void => {
    controller.abort(reason);
    reject(reason);
  };
  const onAbort = (): void => stop(callerSignal?.reason);
  const expire = (): void => stop(new DeadlineError(what, ms));
  let timer = setTimeout(expire, ms);
  callerSignal?.addEventListener("abort", onAbort, { once: true });
  const progress = (): void => {
    clearTimeout(timer);
    timer = setTimeout(expire, ms);
  };
  try {
    return await Promise.race([work({ signal: controller.signal, progress }), stopped]);
  } finally {
    clearTimeout(timer);
    callerSignal?.removeEventListener("abort", onAbort);
  }
}
