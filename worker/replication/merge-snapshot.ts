import { SystemError, type SystemErrorCode } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { sideBySide } from "./bulk/chunks.ts";
import { inlineWork } from "./bulk/inline.ts";
import { fileBody, spooled } from "./bulk/spool.ts";
import type { Bulk, BulkFile } from "./bulk/work.ts";
import { type ChainFile, listChains, planChain } from "./chain.ts";
import type { Clock } from "./clock.ts";
import type { DatabaseLedger } from "./ledger.ts";
import { putFile } from "./prefix-writer.ts";

export interface MergeOptions {
  store: ObjectStore;
  clock: Clock;
  signal: AbortSignal;
  bulk: Bulk;
}

/** The chain cannot be read: no reason to go on with it, but none to lose the tenant that is served. */
const UNREADABLE: ReadonlySet<SystemErrorCode> = new Set<SystemErrorCode>([
  "chain_gap",
  "object_corrupt",
  "object_foreign",
  "object_version",
]);

/**
 * A new snapshot from what is under the prefix, which is durable as a whole: the database itself is not touched. In memory of a few
 * pieces per file.
 *
 * @returns `no chain` when none begins at TXID 1; what is wrong with the objects when they cannot be read
 * @throws SystemError `store_unavailable`, `disk_full`; `object_foreign` when another snapshot is in its place; the signal's reason
 */
export async function mergeSnapshot(
  options: MergeOptions,
  ledger: DatabaseLedger,
): Promise<"merged" | "no chain" | SystemError> {
  const { store, clock, signal, bulk } = options;
  const { tenant, database, materialised } = ledger;
  const since = { ...ledger.chain };
  let chain: ChainFile[];
  try {
    const files = (await listChains(store, tenant, { signal })).get(database) ?? [];
    chain = planChain(files.filter(({ maxTxid }) => maxTxid <= materialised.txid));
  } catch (error) {
    if (isUnreadable(error)) return error;
    throw error;
  }
  if (chain[0]?.minTxid !== 1) return "no chain";
  const part = chain.slice(0, limits.mergeFilesMax);
  return spooled(bulk, async (directory) => {
    let file: BulkFile | undefined;
    try {
      [file] = await mergeFiles(options, part, { target: `${directory}/snapshot`, snapshot: true });
    } catch (error) {
      if (isUnreadable(error)) return error;
      throw error;
    }
    if (file === undefined) return "no chain";
    const { header, length } = file;
    await putFile({ store, clock, signal }, ledger, { facts: header, length, body: () => fileBody(file) });
    ledger.snapshotTaken(length, clock.nowMs(), since);
    return "merged";
  });
}

/** Merges files of a prefix into new ones on disk: large ones in a thread. */
export async function mergeFiles(
  { store, clock, signal, bulk }: MergeOptions,
  files: readonly ChainFile[],
  job: { target: string; snapshot: boolean },
): Promise<BulkFile[]> {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const work = bytes < limits.bulkBytesMin ? inlineWork : bulk.work;
  const inputs = files.map(({ key, minTxid, maxTxid }) => ({ name: key, minTxid, maxTxid }));
  const chunks = sideBySide({ store, clock, signal }, files);
  return (await work.run("merge", { ...job, inputs }, chunks, signal)).files;
}

const isUnreadable = (error: unknown): error is SystemError =>
  error instanceof SystemError && UNREADABLE.has(error.code);
