import { SystemError } from "../../shared/errors.ts";
import { decodeBundle } from "../../shared/log/bundle.ts";
import { hashedBody } from "../../shared/log/entry-hash.ts";
import type { DataEntry } from "../../shared/log/log.ts";
import { type BuildStep, buildDatabase, chainStep } from "../replication/build-database.ts";
import { bulkThreads } from "../replication/bulk/threads.ts";
import type { BulkWork } from "../replication/bulk/work.ts";
import { finishDatabaseFile } from "../replication/database-file.ts";
import { type Fetching, fetchObject } from "../replication/fetch-object.ts";
import { nextEntryHash } from "../replication/hash.ts";
import { type PointStep, stepKey } from "./history.ts";

/** Opens an entry of an encrypted tenant; gives any other back as it is. */
export type OpenEntry = (entry: DataEntry) => DataEntry;

export interface PointSource extends Fetching {
  open: OpenEntry;
  /** For large databases; the threads of the process by default. */
  work?: BulkWork | undefined;
}

/**
 * Writes a database file from a plan, or nothing that looks like one.
 * @throws SystemError `chain_gap`, `object_corrupt`, `object_foreign`, `disk_full`, `store_unavailable`
 */
export async function writePoint(
  source: PointSource,
  steps: readonly PointStep[],
  path: string,
): Promise<void> {
  const work = source.work ?? bulkThreads();
  await buildDatabase({ ...source, work }, path, await buildSteps(source, steps));
  finishDatabaseFile(path);
}

/** The LTX files of a plan in order: whole ones by name, the flushes of a bundle as they stand in it. */
export async function buildSteps(source: PointSource, steps: readonly PointStep[]): Promise<BuildStep[]> {
  const found: BuildStep[] = [];
  let reached = 0;
  for (const step of steps) {
    if (step.kind === "file") found.push(chainStep(step.file));
    else found.push(...(await flushes(source, step, reached)));
    reached = step.toTxid;
  }
  return found;
}

async function flushes(
  { store, signal, open }: PointSource,
  step: PointStep & { kind: "bundle" },
  reached: number,
): Promise<BuildStep[]> {
  const { key, size } = step.bundle;
  const found: BuildStep[] = [];
  let before: DataEntry | undefined;
  for (const entry of decodeBundle(await fetchObject(store, key, size, signal))) {
    const { txid } = entry;
    if (txid > step.toTxid) break;
    checkLink(step, before, entry);
    before = entry;
    if (txid <= reached) continue;
    const { ltx } = open(entry);
    found.push({
      input: { name: `TXID ${txid} of ${key}`, minTxid: txid, maxTxid: txid },
      source: { bytes: ltx },
    });
  }
  return found;
}

/** Within an epoch each entry's hash continues the one before it. */
function checkLink(step: PointStep, before: DataEntry | undefined, entry: DataEntry): void {
  if (before === undefined) return;
  const previous = before.epoch === entry.epoch ? before.entryHash : "";
  if (nextEntryHash(previous, hashedBody(entry)) === entry.entryHash) return;
  throw new SystemError(
    "object_corrupt",
    `Cannot restore from ${stepKey(step)}: the hash chain breaks at TXID ${entry.txid}`,
    {
      hint: "The object was changed after it was written. Put the original back from the bucket's versions.",
    },
  );
}
