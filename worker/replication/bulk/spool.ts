import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { limits } from "../../../shared/limits.ts";
import type { ObjectBody } from "../../../shared/objects/contract.ts";
import type { Bulk } from "./work.ts";

/**
 * A directory for files on their way to the store: whole and proven before the first byte is sent, of known length, and still there
 * for another try. Removed when `use` ends.
 */
export async function spooled<T>({ directory }: Bulk, use: (directory: string) => Promise<T>): Promise<T> {
  mkdirSync(directory, { recursive: true });
  const own = mkdtempSync(join(directory, "spool-"));
  try {
    return await use(own);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

/** A file as the body of an object, anew for each try. */
export function fileBody({ path, length }: { path: string; length: number }): ObjectBody {
  if (length <= limits.bulkInMemoryBytesMax) return new Uint8Array(readFileSync(path));
  return { stream: Bun.file(path).stream(), length };
}
