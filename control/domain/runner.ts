import { SystemError } from "../../shared/errors.ts";
import { randomText } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../clock.ts";
import type { ReplicatedStore, Txn, TxnResult } from "../store/contract.ts";
import type { Meta } from "./audit.ts";
import { CLUSTER } from "./keys.ts";
import type { Table } from "./table.ts";
import type { Command } from "./view.ts";
import type { TableWaiters } from "./wait.ts";

export interface RunnerParts {
  store: ReplicatedStore;
  table: Table;
  waiters: TableWaiters;
  clock: Clock;
  randomBytes: (length: number) => Uint8Array;
}

const ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";
const ID_CHARACTERS = 20;

/** Runs commands: decide on the table, submit, and decide again when something compared has changed. */
export class Runner {
  readonly #parts: RunnerParts;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
  }

  newId(length = ID_CHARACTERS): string {
    return randomText(length, ID_ALPHABET, this.#parts.randomBytes);
  }

  meta(who: string): Meta {
    return { who, atMs: this.#parts.clock.nowMs(), id: this.newId() };
  }

  /**
   * Returns when this replica's table shows the result. A refusal counts only when the table it was made on is the newest state.
   *
   * @throws the command's rejection; SystemError `control_no_leader` (did not happen), `control_state_unknown` (may have),
   * `overloaded` (others were faster every time)
   */
  async run<T>(command: Command<T>, outer?: AbortSignal): Promise<T> {
    const { table, clock } = this.#parts;
    const timeout = AbortSignal.timeout(limits.controlRequestMs);
    const signal = outer === undefined ? timeout : AbortSignal.any([outer, timeout]);
    for (let attempt = 0; attempt < limits.commandRetriesMax; attempt++) {
      const decidedAt = table.revision;
      const decision = command(table);
      if ("settled" in decision) return decision.settled;
      if ("reject" in decision) {
        if (!(await this.confirm(signal, decidedAt))) continue;
        throw decision.reject;
      }
      const result = await this.#submit({ ...decision.draft, id: this.newId() }, signal);
      await this.#reached(result.rev, signal);
      if (result.ok) return decision.value;
      // Others write the same keys: spread out, or one of many may lose every time.
      if (attempt > 1) await clock.sleep(this.#jitterMs(), signal);
    }
    throw new SystemError("overloaded", "Cannot run command: others changed the same records each time", {
      retryAfterMs: 1000,
    });
  }

  /**
   * Catches the table up with everything acknowledged before the call.
   * @returns whether the table already stood there (at `since`)
   */
  async confirm(signal: AbortSignal, since = this.#parts.table.revision): Promise<boolean> {
    const { rev } = await within(this.#parts.store.range(CLUSTER, { limit: 1 }), signal, notConfirmed);
    await within(this.#parts.waiters.reached(rev, signal), signal, notConfirmed);
    return rev <= since;
  }

  async #submit(txn: Txn, signal: AbortSignal): Promise<TxnResult> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await within(this.#parts.store.txn(txn, signal), signal);
      } catch (error) {
        const open = error instanceof SystemError && error.code === "control_state_unknown";
        if (!open || attempt >= limits.commandRetriesMax || signal.aborted) throw error;
        await this.#parts.clock.sleep(this.#jitterMs(), signal).catch(() => {
          throw error;
        });
      }
    }
  }

  async #reached(rev: Txn["cmp"][number]["modRev"], signal: AbortSignal): Promise<void> {
    await within(this.#parts.waiters.reached(rev, signal), signal);
  }

  #jitterMs(): number {
    return ((this.#parts.randomBytes(1)[0] ?? 0) / 255) * limits.commandRetryMsMax;
  }
}

/** What was asked may still happen. */
function notAnswered(cause: unknown): SystemError {
  return new SystemError("control_state_unknown", "Cannot run command: the store did not answer in time", {
    cause,
    retryAfterMs: 1000,
  });
}

/** Nothing was asked but how new the state is. */
function notConfirmed(cause: unknown): SystemError {
  return new SystemError("control_no_leader", "Cannot read the state: no leader confirmed it in time", {
    cause,
    hint: "A majority of the control members must be up and reach one another.",
    retryAfterMs: 1000,
  });
}

/** The promise, or that error when the signal aborts first. */
async function within<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  tooLate: (cause: unknown) => SystemError = notAnswered,
): Promise<T> {
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(tooLate(signal.reason));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } catch (error) {
    if (error === signal.reason && signal.aborted) return await aborted;
    throw error;
  } finally {
    if (stop !== undefined) signal.removeEventListener("abort", stop);
    aborted.catch(() => undefined);
  }
}
