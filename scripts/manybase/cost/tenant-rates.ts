import { limits } from "../../../shared/limits.ts";

/** One written tenant in the long run, when what is old goes as fast as what is new comes. Rates are per second. */
export interface TenantLoad {
  /** Entries of its database in the log: its flushes. */
  entriesPerSecond: number;
  entryBytes: number;
  /** Compressed size of a snapshot. */
  snapshotBytes: number;
}

export interface TenantRates {
  materialisePut: number;
  bundlePut: number;
  snapshotPut: number;
  compactionGet: number;
  compactionPut: number;
  maintenanceList: number;
  /** Each is followed by a PUT to the worker's log an hour later, if none came by itself. */
  condemnedPut: number;
  /** Records that stand at any time: an owner that comes then reads them. */
  condemnedStanding: number;
  /** Uploads compared with what records name: a LIST, and a PUT that says when. */
  sweepList: number;
  sweepPut: number;
  /** Files that a load reads. */
  chainFiles: number;
  storedBytes: number;
}

const seconds = (ms: number): number => ms / 1000;

/** Mean time between visits that may not be closer than `least`, when `perSecond` reasons for one come at random. */
const visitSeconds = (perSecond: number, least: number): number =>
  least + Math.exp(-perSecond * least) / perSecond;

/** What background work asks of the store for one tenant, from the bounds that the code itself works by. */
export function tenantRates({ entriesPerSecond, entryBytes, snapshotBytes }: TenantLoad): TenantRates {
  const afterSeconds = seconds(limits.materialiseAfterMs);
  const waitSeconds = 1 / entriesPerSecond;
  // The first of: age of the oldest entry, number, bytes (Materialiser, DatabaseLedger.full).
  const fileSeconds = Math.min(
    afterSeconds + waitSeconds,
    limits.materialiseEntries * waitSeconds,
    Math.max(1, Math.ceil(limits.materialiseBytes / entryBytes)) * waitSeconds,
  );
  const byAge = fileSeconds === afterSeconds + waitSeconds;
  const entriesPerFile = entriesPerSecond * fileSeconds;
  const fileBytes = Math.min(entriesPerFile * entryBytes, snapshotBytes);
  // A bundle is written for more than one entry; of files by age some hold one.
  const bundled = byAge ? 1 - Math.exp(-entriesPerSecond * afterSeconds) : entriesPerFile > 1 ? 1 : 0;

  const hourSeconds = seconds(limits.compactAfterMs);
  // From a merge until the next file comes, when intervals are the wait for a first entry and a fixed rest.
  const spreadSeconds = byAge ? waitSeconds : 0;
  const nextFileSeconds = (fileSeconds ** 2 + spreadSeconds ** 2) / (2 * fileSeconds);
  const mergeSeconds = hourSeconds + nextFileSeconds;
  const dailySeconds = seconds(limits.compactDailyMs) + mergeSeconds / 2;
  const filesPerMerge = mergeSeconds / fileSeconds;
  const mergedBytes = Math.min(filesPerMerge * fileBytes, snapshotBytes);
  const dailyBytes = Math.min((dailySeconds / mergeSeconds) * mergedBytes, snapshotBytes);

  // DatabaseLedger.snapshotDue: too many files before a merge makes them fewer, too many bytes, too old.
  const bytesMax = Math.max(limits.snapshotChainBytesMin, snapshotBytes * limits.snapshotChainRatio);
  const byFiles =
    filesPerMerge > limits.snapshotChainFilesMax
      ? (limits.snapshotChainFilesMax + 1) * fileSeconds
      : Infinity;
  const byBytes = (Math.floor(bytesMax / fileBytes) + 1) * fileSeconds;
  const snapshotSeconds = Math.min(byFiles, byBytes, seconds(limits.snapshotAgeMsMax) + fileSeconds);

  // Maintainer: a visit for each merge, and one for all files and bundles that go together (deletionVisitMs); one LIST each.
  const goneBytes = fileBytes + (bundled > 0 ? entriesPerFile * entryBytes : 0);
  const batchSeconds = Math.min(
    seconds(limits.deletionBatchMs),
    Math.floor(limits.deletionBatchBytes / goneBytes) * fileSeconds,
  );
  const deletionSeconds = Math.max(batchSeconds + nextFileSeconds, seconds(limits.maintenanceRetryMs));
  const visits =
    1 /
    visitSeconds(
      1 / deletionSeconds + 1 / mergeSeconds + 1 / dailySeconds,
      seconds(limits.maintenanceRetryMs),
    );
  // On average.
  const keptLongerSeconds = batchSeconds / 2;
  const sweeps = 1 / visitSeconds(visits, seconds(limits.uploadSweepMs));
  const files =
    (seconds(limits.levelOneKeepMs) + keptLongerSeconds) / fileSeconds +
    (bundled * (seconds(limits.bundleKeepMs) + keptLongerSeconds)) / fileSeconds +
    seconds(limits.historyKeepMs) / mergeSeconds +
    seconds(limits.historyKeepMs) / dailySeconds +
    Math.max(1, seconds(limits.historyKeepMs) / snapshotSeconds);
  const pages = Math.ceil(files / limits.storeListPage);

  return {
    materialisePut: 1 / fileSeconds,
    bundlePut: bundled / fileSeconds,
    snapshotPut: 1 / snapshotSeconds,
    compactionGet: gets(fileBytes) / fileSeconds + gets(mergedBytes) / mergeSeconds,
    compactionPut: 1 / mergeSeconds + 1 / dailySeconds,
    maintenanceList: visits * pages,
    condemnedPut: 1 / deletionSeconds,
    condemnedStanding: seconds(limits.condemnedMsMin) / deletionSeconds,
    sweepList: sweeps,
    sweepPut: sweeps,
    chainFiles: 1 + Math.min(limits.snapshotChainFilesMax, snapshotSeconds / fileSeconds) / 2,
    storedBytes:
      snapshotBytes * Math.max(1, seconds(limits.historyKeepMs) / snapshotSeconds) +
      (fileBytes * (seconds(limits.levelOneKeepMs) + keptLongerSeconds)) / fileSeconds +
      (bundled * entriesPerFile * entryBytes * (seconds(limits.bundleKeepMs) + keptLongerSeconds)) /
        fileSeconds +
      (mergedBytes * seconds(limits.historyKeepMs)) / mergeSeconds +
      (dailyBytes * seconds(limits.historyKeepMs)) / dailySeconds,
  };
}

/** Requests that read a file of so many bytes. */
export const gets = (bytes: number): number => Math.max(1, Math.ceil(bytes / limits.restoreRangeBytes));
