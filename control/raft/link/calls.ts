import {
  SYSTEM_ERRORS,
  SystemError,
  type SystemErrorCode,
  USER_ERRORS,
  UserError,
  type UserErrorCode,
} from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { StoredResult } from "../../store/remembered-results.ts";
import type { Frame } from "./frame.ts";

interface Open {
  resolve(result: StoredResult): void;
  reject(error: unknown): void;
}

/** Commands forwarded to one peer that have no answer yet. */
export class Calls {
  readonly #open = new Map<number, Open>();
  #sequence = 0;

  /** `send` returns false when it certainly did not leave. */
  call(command: Uint8Array, send: (frame: Frame) => boolean, signal: AbortSignal): Promise<StoredResult> {
    if (this.#open.size >= limits.raftForwardsMax) return Promise.reject(notSent("too many wait"));
    const id = ++this.#sequence;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#open.delete(id);
        signal.removeEventListener("abort", abort);
      };
      const abort = (): void => {
        end();
        reject(new Error("the caller gave up waiting", { cause: signal.reason }));
      };
      if (!send({ kind: "propose", id, command })) {
        reject(notSent("it cannot be reached"));
        return;
      }
      this.#open.set(id, {
        resolve: (result) => (end(), resolve(result)),
        reject: (error) => (end(), reject(error)),
      });
      signal.addEventListener("abort", abort, { once: true });
      if (signal.aborted) abort();
    });
  }

  answered(frame: Frame & { kind: "result" | "failure" }): void {
    const open = this.#open.get(frame.id);
    if (frame.kind === "result") open?.resolve(frame.result);
    else open?.reject(errorOf(frame));
  }

  /** Nobody knows what became of them. */
  lost(): void {
    for (const open of [...this.#open.values()]) open.reject(new Error("the connection was lost"));
  }
}

export function failureOf(id: number, error: unknown): Frame {
  const known = error instanceof SystemError || error instanceof UserError;
  const code = known ? error.code : "control_state_unknown";
  const text = known ? error.message : "Cannot say whether the txn was applied: the leader failed";
  return { kind: "failure", id, code, text, retryAfterMs: known ? (error.retryAfterMs ?? 0) : 0 };
}

function errorOf({ code, text, retryAfterMs }: Frame & { kind: "failure" }): Error {
  const options = retryAfterMs > 0 ? { retryAfterMs } : {};
  if (code in SYSTEM_ERRORS) return new SystemError(code as SystemErrorCode, text, options);
  if (code in USER_ERRORS) return new UserError(code as UserErrorCode, text, options);
  return new Error(text);
}

function notSent(state: string): SystemError {
  return new SystemError("control_no_leader", `Cannot forward txn to the leader: ${state}`, {
    hint: "It was not applied: send it again.",
    retryAfterMs: 200,
  });
}
