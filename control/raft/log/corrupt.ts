import { SystemError } from "../../../shared/errors.ts";

const HINT =
  "Do not repair the files. With other members alive: remove this member, empty its directory and add it again. A single member: put back a copy of the directory, or run manybase control restore.";

/** The log cannot be trusted; starting from it could lose or change what was acknowledged. */
export function logCorrupt(file: string, offset: number, state: string, cause?: unknown): SystemError {
  return new SystemError("log_corrupt", `Cannot open log: ${file} at byte ${offset} ${state}`, {
    hint: HINT,
    details: { file, offset },
    ...(cause === undefined ? {} : { cause }),
  });
}
