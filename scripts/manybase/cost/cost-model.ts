import { limits } from "../../../shared/limits.ts";
import { gets, tenantRates } from "./tenant-rates.ts";

/** A platform in the long run. */
export interface PlatformLoad {
  tenants: number;
  /** Share of them that is written to, 0 to 1; the others are evicted or idle. */
  activeShare: number;
  /** Of all tenants together. */
  writesPerSecond: number;
  /** One write's LTX file in the log, compressed. */
  bytesPerWrite: number;
  /** A tenant's snapshot, compressed. */
  databaseBytes: number;
  workers: number;
  /** How long the store takes for a PUT, in the middle. */
  putMs: number;
  /** Requests that change nothing but a tenant's rate limit counters. */
  countedReadsPerSecond: number;
  /** Tenants that come back from the store, after an eviction, a move or a worker's death. */
  loadsPerDay: number;
}

/** $ per million requests, and per GB-month. DELETE is free everywhere. */
export interface Prices {
  put: number;
  get: number;
  storage: number;
}

/** List prices of late 2026; PUT, LIST and COPY are one class, GET and HEAD the other. */
export const PRICES: Readonly<Record<string, Prices>> = {
  s3: { put: 5, get: 0.4, storage: 0.023 },
  r2: { put: 4.5, get: 0.36, storage: 0.015 },
  tigris: { put: 5, get: 0.5, storage: 0.02 },
};

export interface CostLine {
  what: string;
  class: "put" | "get" | "free";
  perSecond: number;
  perMonth: number;
  dollars: number;
  /** Where the figure comes from. */
  why: string;
}

export interface Cost {
  lines: CostLine[];
  storedBytes: number;
  storageDollars: number;
  dollars: number;
}

const stateSeconds = limits.stateEveryMs / 1000;

export const MONTH_SECONDS = 30 * 24 * 60 * 60;

/** Objects of one worker's log, per second: one PUT at a time, and what comes meanwhile is the next one's (LogWriter). */
export function logObjectsPerSecond(writesPerSecond: number, bytesPerWrite: number, putMs: number): number {
  if (writesPerSecond === 0) return 0;
  const put = putMs / 1000;
  const collected = 1 / (put + Math.exp(-writesPerSecond * put) / writesPerSecond);
  const inline = bytesPerWrite > limits.logInlineEntryBytesMax ? 0 : bytesPerWrite;
  return Math.max(collected, (writesPerSecond * inline) / limits.logObjectBytesMax);
}

/** What a platform's object store is asked for, and what that costs a month. Tenants that nobody writes to only take up room. */
export function costOf(load: PlatformLoad, prices: Prices): Cost {
  const active = Math.round(load.tenants * load.activeShare);
  const written = active > 0 && load.writesPerSecond > 0;
  const perWorker = load.writesPerSecond / load.workers;
  const perTenant = written ? load.writesPerSecond / active : 0;
  const flushes = written ? logObjectsPerSecond(perWorker, load.bytesPerWrite, load.putMs) : 0;
  // Commits of one tenant that fall into one flush are one entry.
  const entriesPerSecond = Math.min(perTenant, flushes);
  const entryBytes = written ? (load.bytesPerWrite * perTenant) / entriesPerSecond : 0;
  const each = written
    ? tenantRates({ entriesPerSecond, entryBytes, snapshotBytes: load.databaseBytes })
    : undefined;
  // What is about to be deleted needs a PUT to the log, which mostly rides on others'.
  const proofs = (active * (each?.condemnedPut ?? 0)) / load.workers;
  const log = written ? logObjectsPerSecond(perWorker + proofs, load.bytesPerWrite, load.putMs) : 0;
  // Counters of requests that changed in a second without any object that could carry them.
  const counted = 1 - Math.exp((-load.countedReadsPerSecond / load.workers) * stateSeconds);
  const lone = (load.workers * counted * Math.exp(-log * stateSeconds)) / stateSeconds;
  const large = load.bytesPerWrite > limits.logInlineEntryBytesMax ? load.writesPerSecond : 0;
  const loads = load.loadsPerDay / (24 * 60 * 60);
  const minutes = limits.materialiseAfterMs / 60_000;
  const rates: [string, CostLine["class"], number, string][] = [
    [
      "log PUT",
      "put",
      log * load.workers,
      `per worker 1 / (put + e^(-w put) / w), w writes/s, put ${load.putMs} ms`,
    ],
    [
      "state PUT",
      "put",
      lone,
      `a worker whose tenants' rate limits counted requests in ${stateSeconds} s without a commit`,
    ],
    [
      "large object PUT",
      "put",
      large,
      `entries above ${limits.logInlineEntryBytesMax} bytes go before the log`,
    ],
    [
      "materialise PUT",
      "put",
      active * (each?.materialisePut ?? 0) + loads,
      `level 1 after ${minutes} min, ${limits.materialiseEntries} entries or ${limits.materialiseBytes} bytes, and at each leave`,
    ],
    ["bundle PUT", "put", active * (each?.bundlePut ?? 0), "beside each file of more than one flush"],
    [
      "snapshot PUT",
      "put",
      active * (each?.snapshotPut ?? 0),
      `chain above ${limits.snapshotChainRatio * 100} % or ${limits.snapshotChainFilesMax} files, or ${limits.snapshotAgeMsMax / 86_400_000} days`,
    ],
    ["compaction GET", "get", active * (each?.compactionGet ?? 0), "each file of levels 1 and 2 once"],
    ["compaction PUT", "put", active * (each?.compactionPut ?? 0), "level 2 an hour, level 3 a day"],
    [
      "maintenance LIST",
      "put",
      active * (each?.maintenanceList ?? 0),
      `a visit for each merge, and one for all that goes; a page per ${limits.storeListPage} objects`,
    ],
    [
      "condemned PUT",
      "put",
      active * (each?.condemnedPut ?? 0),
      `the record before a deletion: of ${limits.deletionBatchMs / 3_600_000} h, or of ${limits.deletionBatchBytes} bytes`,
    ],
    [
      "condemned GET",
      "get",
      loads * (each?.condemnedStanding ?? 0),
      "records of the owner before that stand at a load",
    ],
    [
      "sweep LIST, PUT",
      "put",
      active * ((each?.sweepList ?? 0) + (each?.sweepPut ?? 0)),
      "uploads against records, at most once a day",
    ],
    ["load LIST", "put", loads, "one per load"],
    [
      "load GET",
      "get",
      loads * ((each?.chainFiles ?? 1) - 1 + gets(load.databaseBytes)),
      "snapshot and half a chain",
    ],
    [
      "DELETE",
      "free",
      log * load.workers + active * ((each?.condemnedPut ?? 0) * 2),
      "log, files, records: in batches, free",
    ],
  ];
  const lines = rates.map(([what, kind, perSecond, why]): CostLine => {
    const perMonth = perSecond * MONTH_SECONDS;
    const dollars = kind === "free" ? 0 : (perMonth / 1e6) * prices[kind];
    return { what, class: kind, perSecond, perMonth, dollars, why };
  });
  // Slots of the log stay for an hour after their last entry is under its prefix.
  const logBytes =
    load.writesPerSecond *
    load.bytesPerWrite *
    ((limits.materialiseAfterMs + limits.logTruncateAfterMs) / 1000);
  const storedBytes =
    active * (each?.storedBytes ?? load.databaseBytes) +
    (load.tenants - active) * load.databaseBytes +
    (written ? logBytes : 0);
  const storageDollars = (storedBytes / 1e9) * prices.storage;
  return {
    lines,
    storedBytes,
    storageDollars,
    dollars: lines.reduce((sum, { dollars }) => sum + dollars, storageDollars),
  };
}
