import {
  SYSTEM_ERRORS,
  SystemError,
  type SystemErrorCode,
  UserError,
  type UserErrorCode,
  USER_ERRORS,
} from "../../../shared/errors.ts";
import type { BulkKind } from "./work.ts";

/** `run` numbers the jobs of a thread: what comes late for one must not be taken for the next. */
export type ToThread =
  /** `cancelled[0]` becomes 1 when nobody wants the result any more. */
  | { type: "start"; run: number; kind: BulkKind; job: unknown; cancelled: Int32Array<SharedArrayBuffer> }
  | { type: "chunk"; run: number; input: number; bytes: Uint8Array | undefined }
  /** The chunk that was asked for cannot be had: the job ends. */
  | { type: "no-chunk"; run: number; input: number };

export type FromThread =
  | { type: "read"; run: number; input: number }
  | { type: "alive"; run: number }
  | { type: "done"; run: number; result: unknown }
  | { type: "failed"; run: number; error: ThreadError };

/** An error as far as it survives the way between threads. */
export interface ThreadError {
  user: boolean;
  code: string;
  message: string;
  hint: string | undefined;
  details: Record<string, unknown>;
}

export function packError(error: unknown): ThreadError {
  if (error instanceof SystemError || error instanceof UserError) {
    const { code, message, hint, details } = error;
    const cause = error.cause instanceof Error ? { cause: error.cause.message } : {};
    return { user: error instanceof UserError, code, message, hint, details: { ...details, ...cause } };
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { user: false, code: "internal", message, hint: undefined, details: {} };
}

export function unpackError({ user, code, message, hint, details }: ThreadError): SystemError | UserError {
  const options = hint === undefined ? { details } : { details, hint };
  if (user && code in USER_ERRORS) return new UserError(code as UserErrorCode, message, options);
  const known = code in SYSTEM_ERRORS ? (code as SystemErrorCode) : "internal";
  return new SystemError(known, message, options);
}
