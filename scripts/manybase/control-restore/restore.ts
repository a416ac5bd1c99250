import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SystemError, UserError } from "../../../shared/errors.ts";
import type { Incarnation } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { claimRestoreBlock } from "../../../control/disaster/claim-restore-block.ts";
import { rebuild } from "../../../control/disaster/rebuild.ts";
import type { WorkerRecord } from "../../../control/domain/records.ts";
import { foundRaftStore, hasLog } from "../../../control/raft/open.ts";
import { checkTenants } from "./check-tenants.ts";
import { readLogs } from "./read-logs.ts";
import { readMetadata, readSnapshot } from "./read-metadata.ts";

export interface RestoreOptions {
  store: ObjectStore;
  /** Of the new control: the state goes to `<data>/control`, which must not be there. */
  data: string;
  memberId: string;
  /** Key of a snapshot, or `none`. */
  from?: string;
  signal: AbortSignal;
  nowMs: number;
}

export interface RestoreReport {
  cluster: string;
  snapshot?: { key: string; at: string };
  /** Why newer snapshots were passed over. */
  skipped: string[];
  tenants: number;
  logs: number;
  tails: number;
  orphans: string[];
  renamed: { tenant: string; slug: string }[];
}

const UNFINISHED = "control.restoring";
const PROBLEMS_SHOWN_MAX = 20;

/**
 * Builds control's state from the object store alone. The claim of numbers comes first (no older control admits a worker from
 * then on), then every log is sealed, and the directory appears under its name only when it is whole: broken off anywhere it can
 * be run again. Nothing in the store is deleted or overwritten.
 *
 * @throws UserError `invalid_directory`; SystemError naming what cannot be read or does not fit together
 */
export async function restoreControl(options: RestoreOptions): Promise<RestoreReport> {
  const { store, data, memberId, from, signal, nowMs } = options;
  const directory = join(data, "control");
  if (existsSync(directory) && (await hasLog(directory))) {
    throw new UserError(
      "invalid_directory",
      `Cannot restore into ${directory}: a state of control is there`,
      {
        hint: "Give a new --data directory, or move the old one away.",
      },
    );
  }
  const { snapshot, key, skipped } = await readSnapshot(store, from, signal);
  const block = await claimRestoreBlock(store, signal);
  const workers = (snapshot?.rows ?? []).filter(([name]) => name.startsWith("worker/"));
  const known = workers.map(([, worker]): Incarnation => (worker as WorkerRecord).incarnation);
  const contents = await readLogs(store, known, signal);
  // After the seals: what an old control still wrote until then is among it.
  const { tenants, problems } = await readMetadata(store, signal);
  refuse(problems);
  const cluster = clusterOf(snapshot?.cluster, key, tenants);
  const at = new Date(nowMs).toISOString();
  const rebuilt = rebuild({
    ...{ snapshot, cluster, block, used: 0, tenants, logged: contents.logged, logs: contents.logs },
    ...{ at, atMs: nowMs },
  });
  const broken = await checkTenants(store, rebuilt.tenants, contents, signal);
  refuse(
    broken.map(
      ({ tenant, error }) =>
        new SystemError(error.code, `Cannot restore tenant ${tenant.slug} (${tenant.id}): ${error.message}`, {
          hint: "Objects are missing. Put them back from the bucket's versions or its copy, then run this again; nothing was changed but seals.",
        }),
    ),
  );
  const making = join(data, UNFINISHED);
  rmSync(making, { recursive: true, force: true });
  await foundRaftStore(making, memberId, rebuilt.rows, block * limits.restoreRevisionsPerBlock);
  rmSync(directory, { recursive: true, force: true });
  renameSync(making, directory);
  return {
    cluster,
    ...(snapshot === undefined || key === undefined ? {} : { snapshot: { key, at: snapshot.at } }),
    skipped,
    tenants: rebuilt.tenants.length,
    logs: contents.logs.length,
    tails: rebuilt.tenants.reduce((sum, { tails }) => sum + tails.length, 0),
    orphans: rebuilt.orphans,
    renamed: rebuilt.renamed,
  };
}

function clusterOf(
  fromSnapshot: string | undefined,
  key: string | undefined,
  tenants: Awaited<ReturnType<typeof readMetadata>>["tenants"],
): string {
  const named = new Map<string, string>();
  for (const [id, { metadata }] of tenants) if (metadata !== undefined) named.set(metadata.cluster, id);
  const [first, second] = named.keys();
  if (second !== undefined || (fromSnapshot !== undefined && first !== undefined && first !== fromSnapshot)) {
    const all = [...new Set([...(fromSnapshot === undefined ? [] : [fromSnapshot]), ...named.keys()])];
    throw new SystemError(
      "object_foreign",
      `Cannot restore: ${key ?? "the metadata"} and tenants' metadata are of different clusters, ${all.join(", ")}`,
      {
        hint: `Choose a snapshot of the right cluster with --from, or none with --from none; tenants of others (such as ${named.get(second ?? first ?? "")}) must be moved away. Nothing was deleted.`,
      },
    );
  }
  return fromSnapshot ?? first ?? crypto.randomUUID();
}

function refuse(problems: readonly SystemError[]): void {
  const [first] = problems;
  if (first === undefined) return;
  if (problems.length === 1) throw first;
  const lines = problems.slice(0, PROBLEMS_SHOWN_MAX).map(({ message }) => `  ${message}`);
  throw new SystemError(first.code, `Cannot restore: ${problems.length} problems\n${lines.join("\n")}`, {
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    details: { problems: problems.length },
  });
}
