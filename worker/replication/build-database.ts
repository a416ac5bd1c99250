import { limits } from "../../shared/limits.ts";
import type { LtxHeader } from "../../shared/ltx/ltx.ts";
import { type ChunkSource, inTurn } from "./bulk/chunks.ts";
import { inlineWork } from "./bulk/inline.ts";
import type { BulkInput, BulkWork } from "./bulk/work.ts";
import type { ChainFile } from "./chain.ts";
import type { Fetching } from "./fetch-object.ts";

/** One LTX file to apply: what it must be, and where its bytes are. */
export interface BuildStep {
  input: BulkInput;
  source: ChunkSource;
}

export const chainStep = ({ key, size, minTxid, maxTxid }: ChainFile): BuildStep => ({
  input: { name: key, minTxid, maxTxid },
  source: { key, size },
});

/**
 * Applies LTX files in order, small ones in this turn, large ones in a thread, in memory of a few pieces whatever their size. The
 * result stands beside `path` until `finishDatabaseFile` puts it there: only then all that was read is proven.
 *
 * @returns the files' headers
 * @throws SystemError `object_corrupt`, `object_version`, `object_foreign`, `chain_gap`, `disk_full`, `store_unavailable`
 */
export async function buildDatabase(
  from: Fetching & { work: BulkWork },
  path: string,
  steps: readonly BuildStep[],
): Promise<LtxHeader[]> {
  const bytes = steps.reduce((sum, { source }) => sum + ("size" in source ? source.size : 0), 0);
  const work = bytes < limits.bulkBytesMin ? inlineWork : from.work;
  const inputs = steps.map(({ input }) => input);
  const chunks = inTurn(
    from,
    steps.map(({ source }) => source),
  );
  const { headers } = await work.run("restore", { path, inputs }, chunks, from.signal);
  return headers;
}
