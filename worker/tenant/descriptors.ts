import { readFileSync } from "node:fs";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

/** Database file, WAL and its index by SQLite, the WAL once more by capture. */
const PER_WRITER = 4;
/** Database file and WAL; the index is shared. */
const PER_READER = 2;

/** How many files this process may have open; undefined where that cannot be known. */
export function descriptorLimit(): number | undefined {
  try {
    const soft = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return soft === undefined ? undefined : soft === "unlimited" ? Infinity : Number(soft);
  } catch {
    return undefined;
  }
}

export interface OpenBounds {
  tenants: number;
  readers: number;
  /** Databases beside `data.db`. */
  secondaries: number;
}

/**
 * How much may be open at a time under a limit of descriptors, with room for connections and requests.
 * @throws SystemError `overloaded` when it is too low for anything
 */
export function openBounds(descriptors: number | undefined): OpenBounds {
  const { tenantsOpenMax: tenants, readersOpenMax: readers, secondariesOpenMax: secondaries } = limits;
  const wanted = tenants * PER_WRITER + readers * PER_READER + secondaries * PER_WRITER;
  const left = (descriptors ?? Infinity) - limits.descriptorsReserved;
  if (left >= wanted) return { tenants, readers, secondaries };
  const share = left / wanted;
  const bounds = {
    tenants: Math.floor(tenants * share),
    readers: Math.floor(readers * share),
    secondaries: Math.floor(secondaries * share),
  };
  if (bounds.tenants < 1 || bounds.readers < 1 || bounds.secondaries < 1) {
    throw new SystemError(
      "overloaded",
      `Cannot serve tenants: this process may have only ${descriptors} files open`,
      { hint: `Raise the limit (ulimit -n, LimitNOFILE) to ${wanted + limits.descriptorsReserved}.` },
    );
  }
  return bounds;
}
