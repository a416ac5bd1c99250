import { SystemError } from "../../shared/errors.ts";

/** A write to local disk that failed for want of room, by its name; anything else as it is. */
export function asDiskFull(error: unknown, what: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  return new SystemError("disk_full", `Cannot ${what}: the worker's disk is full`, {
    cause: error,
    hint: "Free space in the worker's data directory, or give the worker a larger disk.",
  });
}
