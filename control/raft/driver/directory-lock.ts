import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { dlopen, FFIType } from "bun:ffi";
import { SystemError, UserError } from "../../../shared/errors.ts";

const LOCK_EXCLUSIVE = 2;
const LOCK_NON_BLOCKING = 4;
const LIBRARIES = process.platform === "darwin" ? ["libSystem.B.dylib"] : ["libc.so.6", "libc.so"];

/**
 * Takes the directory for this process. The kernel holds the lock (flock), so it ends with the process however that ends.
 * @throws UserError `invalid_directory` when another process has it
 */
export function lockDirectory(directory: string): { release(): void } {
  const file = openSync(join(directory, "lock"), "a");
  if (flock(file, LOCK_EXCLUSIVE | LOCK_NON_BLOCKING) !== 0) {
    closeSync(file);
    throw new UserError("invalid_directory", `Cannot open log in ${directory}: another process is using it`, {
      hint: "Stop the other control process, or give this one a directory of its own.",
    });
  }
  return { release: () => closeSync(file) };
}

function flock(file: number, operation: number): number {
  const errors: unknown[] = [];
  for (const name of LIBRARIES) {
    try {
      const library = dlopen(name, { flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 } });
      const result = library.symbols.flock(file, operation);
      library.close();
      return result;
    } catch (cause) {
      errors.push(cause);
    }
  }
  throw new SystemError("internal", "Cannot lock the log directory: this system has no flock", {
    cause: errors,
  });
}
