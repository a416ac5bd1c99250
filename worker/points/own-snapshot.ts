import { SystemError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import type { Origin } from "../../shared/protocol/internal.ts";
import { sideBySide } from "../replication/bulk/chunks.ts";
import { fileBody, spooled } from "../replication/bulk/spool.ts";
import { bulkThreads } from "../replication/bulk/threads.ts";
import { isSnapshot, listChains } from "../replication/chain.ts";
import { putFile } from "../replication/prefix-writer.ts";
import { originSteps } from "./origin.ts";
import { type PointSource, buildSteps } from "./write-point.ts";

/**
 * Gives each database of a branch that has no snapshot of its own yet (it may be too large for one in passing) one of the state that it
 * began with, merged from its origin's files. Afterwards databases need nothing of the origin.
 *
 * @param temporary - where it is made before it is sent
 * @throws SystemError `chain_gap` when the origin's files are not there, `disk_full`, `store_unavailable`
 */
export async function takeOwnSnapshots(
  source: PointSource,
  branch: TenantId,
  origin: Origin,
  temporary: string,
): Promise<void> {
  const { store, clock, signal, work = bulkThreads() } = source;
  const isMissing = await lacking(source, branch);
  if (!Object.keys(origin.databases).some(isMissing)) return;
  for (const [database, { txid, steps }] of await originSteps(store, branch, origin, signal)) {
    if (!isMissing(database)) continue;
    const parts = await buildSteps(source, steps);
    const sources = parts.map((part) => part.source);
    await spooled({ work, directory: temporary }, async (directory) => {
      const inputs = parts.map(({ input }) => input);
      const job = { target: `${directory}/snapshot`, inputs, snapshot: true };
      const { files } = await work.run("merge", job, sideBySide({ store, clock, signal }, sources), signal);
      const [file] = files;
      if (file?.header.maxTxid !== txid) {
        throw new SystemError("internal", `Cannot detach: ${database} was not merged up to TXID ${txid}`);
      }
      const { header, length } = file;
      await putFile(
        { store, clock, signal },
        { tenant: branch, database },
        { facts: header, length, body: () => fileBody(file) },
      );
    });
  }
}

async function lacking({ store, signal }: PointSource, branch: TenantId): Promise<(name: string) => boolean> {
  const chains = await listChains(store, branch, { signal });
  const own = new Set<string>(
    [...chains].filter(([, files]) => files.some(isSnapshot)).map(([name]) => name),
  );
  return (name) => !own.has(name);
}
