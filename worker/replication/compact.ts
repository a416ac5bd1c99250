import type { DatabaseName, TenantId } from "../../shared/ids.ts";
import { fileBody, spooled } from "./bulk/spool.ts";
import type { ChainFile } from "./chain.ts";
import type { Compaction } from "./maintenance-plan.ts";
import { type MergeOptions, mergeFiles } from "./merge-snapshot.ts";
import { putFile } from "./prefix-writer.ts";

/**
 * Merges files of one level into one of the next, or into several where the page size changes. In memory of a few pieces per file.
 * @returns what is there now @throws SystemError `chain_gap`, `object_corrupt`, `object_foreign`, `disk_full`
 */
export async function compact(
  options: MergeOptions,
  tenant: TenantId,
  database: DatabaseName,
  { level, files }: Compaction,
): Promise<ChainFile[]> {
  return spooled(options.bulk, async (directory) => {
    const merged = await mergeFiles(options, files, { target: `${directory}/merged`, snapshot: false });
    const written: ChainFile[] = [];
    for (const file of merged) {
      const { header, length } = file;
      const { minTxid, maxTxid } = header;
      const body = (): ReturnType<typeof fileBody> => fileBody(file);
      const key = await putFile(options, { tenant, database }, { facts: header, length, body, level });
      written.push({ key, level, minTxid, maxTxid, size: length, modifiedMs: options.clock.nowMs() });
    }
    return written;
  });
}
