import { readFileSync } from "node:fs";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

/** The database file, whether the writer is awake or rests. */
const PER_TENANT = 1;
/** Its WAL and index; and the database file once more of a reader that was open, which SQLite keeps until the writer closes. */
const PER_AWAKE = 3;
/** Its WAL; the database file is counted above, the index is shared. */
const PER_READER = 1;
const PER_SECONDARY = PER_TENANT + PER_AWAKE;

/** With fewer awake than this share of the tenants they would be woken again and again. */
const AWAKE_SHARE_MIN = 1 / 8;

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
  /** Writers of `data.db` that are not at rest. */
  awake: number;
  readers: number;
  /** Databases beside `data.db`. */
  secondaries: number;
}

/**
 * How much may be open at a time under a limit of descriptors, with room for connections and requests: all tenants as long as an
 * eighth of them can be awake, then a share of everything.
 * @throws SystemError `overloaded` when it is too low for anything
 */
export function openBounds(descriptors: number | undefined): OpenBounds {
  const { tenantsOpenMax: tenants, readersOpenMax: readers, secondariesOpenMax: secondaries } = limits;
  const left = (descriptors ?? Infinity) - limits.descriptorsReserved;
  const others = tenants * PER_TENANT + readers * PER_READER + secondaries * PER_SECONDARY;
  const awakeMin = Math.ceil(tenants * AWAKE_SHARE_MIN);
  const least = others + awakeMin * PER_AWAKE;
  if (left >= least) {
    const awake = Math.min(tenants, Math.floor((left - others) / PER_AWAKE));
    return { tenants, awake, readers, secondaries };
  }
  const share = left / least;
  const bounds = {
    tenants: Math.floor(tenants * share),
    awake: Math.floor(awakeMin * share),
    readers: Math.ceil(readers * share),
    secondaries: Math.max(1, Math.floor(secondaries * share)),
  };
  if (Math.min(...Object.values(bounds)) < 1) {
    const { descriptorsReserved: reserved } = limits;
    throw new SystemError(
      "overloaded",
      `Cannot serve tenants: this process may have only ${descriptors} files open`,
      {
        hint:
          `Raise the limit (ulimit -n, LimitNOFILE): ${reserved} and ${Math.ceil((least / tenants) * 1_000)} for every 1,000 tenants, ` +
          `${reserved + least} for ${tenants}; with ${reserved + others + tenants * PER_AWAKE} none of them is ever put to rest.`,
      },
    );
  }
  return bounds;
}
