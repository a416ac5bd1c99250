import * as fs from "node:fs/promises";
import { SystemError, UserError } from "../../../shared/errors.ts";

/** The calls that the driver makes; injected so that a full or broken disk can be played. */
export type Disk = Pick<
  typeof fs,
  "copyFile" | "link" | "mkdir" | "open" | "readdir" | "rename" | "rmdir" | "stat" | "unlink"
>;

export const realDisk: Disk = fs;

export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** The result, or undefined when the call failed with one of these codes. */
export async function unless<T>(codes: readonly string[], call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (codes.includes(errorCode(error) ?? "")) return undefined;
    throw error;
  }
}

/** What a failed disk call means to a user of the store; coded errors and aborts pass as they are. */
export function diskError(what: string, error: unknown): unknown {
  const code = errorCode(error);
  if (error instanceof SystemError || error instanceof UserError || code === undefined) return error;
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return new SystemError("disk_full", `Cannot ${what}: the disk of the object store is full`, {
        cause: error,
        hint: "Free space on the disk, or move the store to a larger one.",
      });
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new SystemError("store_unavailable", `Cannot ${what}: no permission in the store's directory`, {
        cause: error,
        hint: "Every file below the store's directory must belong to the user who runs this process.",
      });
    case "EMFILE":
    case "ENFILE":
      return new SystemError("store_unavailable", `Cannot ${what}: too many open files`, {
        cause: error,
        hint: "Raise the limit of open files (ulimit -n).",
      });
    default:
      return new SystemError("store_unavailable", `Cannot ${what}: the disk answers ${code}`, {
        cause: error,
      });
  }
}
